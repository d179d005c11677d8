"""M2M-100's tokenizer: SentencePiece pieces, ids from `vocab.json`, languages after them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keras_s2s.config import ConfigError
from keras_s2s.text.pretrained.added_tokens import AddedTokens, PythonTokenizer
from keras_s2s.text.pretrained.base import tokens_by_id
from keras_s2s.text.pretrained.language_codes import M2M_100
from keras_s2s.text.pretrained.sentencepiece_model import load_processor
from keras_s2s.text.pretrained.tokenizer_files import FAIRSEQ_MODEL, VOCAB, TokenizerFiles


class M2M100Tokenizer(PythonTokenizer):
    """The tokenizer of M2M-100 and WMT21's dense models.

    Args:
        files: `sentencepiece.bpe.model` and `vocab.json`.
        class_name: `M2M100Tokenizer`.
        size: ids of the model.

    Raises:
        FileNotFoundError: a file is missing.
        ConfigError: a file cannot be read.
    """

    kind = "m2m_100"

    def __init__(
        self, files: TokenizerFiles, class_name: str = "M2M100Tokenizer", size: int | None = None
    ) -> None:
        super().__init__(files, class_name, size)
        declared = files.declared()
        self.vocabulary = files.vocabulary(VOCAB, class_name)
        names = {
            "bos_token": "<s>",
            "eos_token": "</s>",
            "sep_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
        }
        extra = declared.extra if declared.extra is not None else declared.additional or ()
        self.added = AddedTokens(self.vocabulary, declared, named=names, extra=extra)
        self._unk = self._unknown_id(self.vocabulary, VOCAB)
        self._tokens = tokens_by_id(self.vocabulary)
        self.processor = load_processor(files, FAIRSEQ_MODEL, class_name)
        option = declared.options.get("language_codes", "m2m100")
        if option not in M2M_100:
            raise ConfigError(
                f"{files.origin}: language_codes is {option!r}; expected {' or '.join(M2M_100)}"
            )
        base = len(self.vocabulary)
        #: Language to id; the tokens stand behind the vocabulary.
        self.languages = {code: base + i for i, code in enumerate(M2M_100[option])}
        self._language_ids = {f"__{code}__": i for code, i in self.languages.items()}
        self._language_tokens = tokens_by_id(self._language_ids)

    @property
    def model_bytes(self) -> bytes:
        """Content of the SentencePiece model file."""
        return self.files.require(FAIRSEQ_MODEL, self.class_name)

    @property
    def known_tokens(self) -> set[str]:
        """The tokens of the vocabulary, languages and added ones included."""
        return {*self.vocabulary, *self._language_ids, *self.added.ids}

    def token_to_id(self, token: str) -> int | None:
        """Returns the id of a piece, a language's token or a special token, or `None`."""
        for ids in (self.added.ids, self._language_ids, self.vocabulary):
            if token in ids:
                return ids[token]
        return None

    @property
    def _end(self) -> int:
        return 1 + max(self._language_tokens)

    def _plain_ids(self) -> Iterable[int]:
        return self._tokens

    def _pieces(self, text: str, **drawing: Any) -> list[str]:
        return self.processor.encode(text, out_type=str, **drawing)

    def _piece_id(self, piece: str) -> int:
        if piece in self._language_ids:
            return self._language_ids[piece]
        return self.vocabulary.get(piece, self._unk)

    def _piece(self, i: int) -> str | None:
        if i in self._language_tokens:
            return self._language_tokens[i]
        return self._tokens.get(i, self.added.named["unk_token"])

    def _join(self, tokens: list[str]) -> str:
        special = set(self.added.special)
        text = ""
        run: list[str] = []
        for token in tokens:
            if token in special:
                text += self.processor.decode(run) + token
                run = []
            else:
                run.append(token)
        return (text + self.processor.decode(run)).strip() if run else text.strip()
