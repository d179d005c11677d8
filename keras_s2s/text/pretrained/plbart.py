"""PLBART's tokenizer: SentencePiece with fairseq's ids and programming languages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keras_s2s.config import ConfigError
from keras_s2s.text.pretrained.added_tokens import AddedTokens, PythonTokenizer
from keras_s2s.text.pretrained.base import tokens_by_id
from keras_s2s.text.pretrained.language_codes import PLBART
from keras_s2s.text.pretrained.sentencepiece_model import load_processor
from keras_s2s.text.pretrained.tokenizer_files import (
    FAIRSEQ_MODEL,
    Added,
    TokenizerFiles,
    TokenName,
)

# fairseq's first four; SentencePiece's pieces follow, one id higher than its own.
_FIRST = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
_OFFSET = 1


class PLBartTokenizer(PythonTokenizer):
    """The tokenizer of PLBART, "base" or "multi" by the option `language_codes`.

    Args:
        files: `sentencepiece.bpe.model`.
        class_name: `PLBartTokenizer`.
        size: ids of the model.

    Raises:
        FileNotFoundError: a file is missing.
        ConfigError: a file cannot be read.
    """

    kind = "plbart"

    def __init__(
        self, files: TokenizerFiles, class_name: str = "PLBartTokenizer", size: int | None = None
    ) -> None:
        super().__init__(files, class_name, size)
        declared = files.declared()
        # Here the class, not the library, says what holds where the files say nothing.
        self.tidies = bool(declared.options.get("clean_up_tokenization_spaces", True))
        option = declared.options.get("language_codes", "base")
        if option not in PLBART:
            raise ConfigError(
                f"{files.origin}: language_codes is {option!r}; expected {' or '.join(PLBART)}"
            )
        self.processor = load_processor(files, FAIRSEQ_MODEL, class_name)
        pieces = self.processor.get_piece_size()
        tokens = [f"__{code}__" for code in PLBART[option]]
        self._fixed = dict(_FIRST)
        self._fixed |= {token: pieces + _OFFSET + i for i, token in enumerate(tokens)}
        if option == "base":
            self._fixed["<mask>"] = pieces + len(tokens) + _OFFSET
        #: Language to id.
        self.languages = {
            code: self._fixed[token] for code, token in zip(PLBART[option], tokens, strict=True)
        }
        self._fixed_tokens = tokens_by_id(self._fixed)

        names: dict[str, TokenName] = {
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "sep_token": "</s>",
            "pad_token": "<pad>",
            "cls_token": "<s>",
            "mask_token": Added("<mask>", lstrip=True),
        }
        extra = declared.extra
        if extra is None:
            more = [token for token in declared.additional or () if token not in tokens]
            extra = [*tokens, *more]
        # Tokens get ids among SentencePiece's own, and those with a place in fairseq's list
        # are then given that place: they are found in text, but spaces next to them are kept.
        own = {self.processor.id_to_piece(i): i for i in range(pieces)}
        self.added = AddedTokens(own, declared, named=names, extra=extra)
        found = list(self.added.ids)
        reserved = {*_FIRST, "<mask>", *tokens}
        self.added.ids = {t: i for t, i in self.added.ids.items() if t not in reserved}
        self.added.by_id = {i: t for i, t in self.added.by_id.items() if t.content not in reserved}
        for token, i in self.added.ids.items():
            self.added.by_id.setdefault(i, Added(token, normalized=False, special=True))
        self.added.refresh([*found, *self.added.special])

    @property
    def model_bytes(self) -> bytes:
        """Content of the SentencePiece model file."""
        return self.files.require(FAIRSEQ_MODEL, self.class_name)

    @property
    def known_tokens(self) -> set[str]:
        """The tokens that are no pieces of the model."""
        return {*self._fixed, *self.added.ids}

    def token_to_id(self, token: str) -> int | None:
        """Returns the id of a piece, a language's token or a special token, or `None`."""
        if token in self.added.ids:
            return self.added.ids[token]
        if token in self._fixed:
            return self._fixed[token]
        i = self.processor.piece_to_id(token)
        return i + _OFFSET if self.processor.id_to_piece(i) == token else None

    @property
    def _end(self) -> int:
        return 1 + max(self._fixed_tokens)

    def _plain_ids(self) -> Iterable[int]:
        return range(self.processor.get_piece_size() + _OFFSET)

    def _pieces(self, text: str, **drawing: Any) -> list[str]:
        return self.processor.encode(text, out_type=str, **drawing)

    def _piece_id(self, piece: str) -> int:
        if piece in self._fixed:
            return self._fixed[piece]
        i = self.processor.piece_to_id(piece)
        return i + _OFFSET if i else self._fixed[self.added.named["unk_token"]]

    def _piece(self, i: int) -> str | None:
        if i in self._fixed_tokens:
            return self._fixed_tokens[i]
        own = i - _OFFSET
        return self.processor.id_to_piece(own) if own < self.processor.get_piece_size() else None

    def _join(self, tokens: list[str]) -> str:
        return "".join(tokens).replace("▁", " ").strip()
