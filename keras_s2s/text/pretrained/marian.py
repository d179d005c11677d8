"""Marian's tokenizers: a SentencePiece model for each side, and ids from `vocab.json`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from keras_s2s.config import ConfigError
from keras_s2s.text.pretrained.added_tokens import AddedTokens, PythonTokenizer
from keras_s2s.text.pretrained.base import tokens_by_id
from keras_s2s.text.pretrained.sentencepiece_model import load_processor
from keras_s2s.text.pretrained.tokenizer_files import (
    MARIAN_SOURCE,
    MARIAN_TARGET,
    TARGET_VOCAB,
    VOCAB,
    TokenizerFiles,
)


class MarianTokenizer(PythonTokenizer):
    """The tokenizer of one side of an OPUS-MT model.

    Both sides share `vocab.json`, unless `separate_vocabs` is set.  A language code such as
    `>>fra<<` at the beginning of a text is a token.

    Args:
        files: `source.spm`, `target.spm`, `vocab.json`, and `target_vocab.json` where the
            vocabularies are separate.
        class_name: `MarianTokenizer`.
        size: ids of the model.
        side: whose text this is.

    Raises:
        FileNotFoundError: a file is missing.
        ConfigError: a file cannot be read.
    """

    kind = "marian"

    def __init__(
        self,
        files: TokenizerFiles,
        class_name: str = "MarianTokenizer",
        size: int | None = None,
        side: Literal["source", "target"] = "source",
    ) -> None:
        super().__init__(files, class_name, size)
        if side not in ("source", "target"):
            raise ConfigError(f"side is {side!r}; expected source or target")
        self.side = side
        declared = files.declared()
        separate = bool(declared.options.get("separate_vocabs", False))
        first = files.vocabulary(VOCAB, class_name)
        names = {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>"}
        extra = declared.extra or declared.additional or ()
        # transformers keeps one list of special tokens, that of the source.
        self.added = AddedTokens(first, declared, named=names, extra=extra)
        self.vocabulary = first
        if separate and side == "target":
            self.vocabulary = files.vocabulary(TARGET_VOCAB, class_name)
        name = TARGET_VOCAB if self.vocabulary is not first else VOCAB
        self._unk = self._unknown_id(self.vocabulary, name)
        self._vocabulary_file = name
        self._tokens = tokens_by_id(self.vocabulary)
        own = MARIAN_SOURCE if side == "source" else MARIAN_TARGET
        #: Content of the model file that splits texts.
        self.model_bytes = files.require(own, class_name)
        self.processor = load_processor(files, own, class_name)
        # With one vocabulary transformers puts the pieces of both sides together by the
        # source's model.
        joiner = own if separate else MARIAN_SOURCE
        #: Content of the model file that puts pieces together.
        self.joiner_bytes = files.require(joiner, class_name)
        self._joiner = (
            self.processor if joiner == own else load_processor(files, joiner, class_name)
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """A remark that the vocabulary lacks PAD, with which a decoder of Marian starts."""
        pad = self.added.named["pad_token"]
        if pad in self.vocabulary:
            return ()
        return (
            f"{self._vocabulary_file} has no {pad}; a text that spells it gets id "
            f"{self.added.ids[pad]}, and batches are padded with the pad_token_id of config.json",
        )

    def token_to_id(self, token: str) -> int | None:
        """Returns the id of a piece or special token, or `None`."""
        return self.added.ids.get(token, self.vocabulary.get(token))

    @property
    def known_tokens(self) -> set[str]:
        """The tokens of the vocabulary, and those that were added."""
        return {*self.vocabulary, *self.added.ids}

    def _plain_ids(self) -> Iterable[int]:
        return self._tokens

    def _pieces(self, text: str, **drawing: Any) -> list[str]:
        code: list[str] = []
        if text.startswith(">>") and (end := text.find("<<")) >= 0:
            code, text = [text[: end + 2]], text[end + 2 :]
        return code + self.processor.encode(text, out_type=str, **drawing)

    def _piece_id(self, piece: str) -> int:
        return self.vocabulary.get(piece, self._unk)

    def _piece(self, i: int) -> str | None:
        if i in self._tokens:
            return self._tokens[i]
        # An id of SentencePiece's own, which is what transformers falls back to.
        return self._joiner.id_to_piece(i) if i < self._joiner.get_piece_size() else None

    def _join(self, tokens: list[str]) -> str:
        return self._joiner.decode_pieces(tokens).replace("▁", " ").strip()

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "side": self.side}
