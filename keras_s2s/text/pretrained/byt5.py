"""ByT5's tokenizer: UTF-8 bytes behind three special ids, sentinels behind the bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keras_s2s.text.pretrained.added_tokens import AddedTokens, PythonTokenizer
from keras_s2s.text.pretrained.tokenizer_files import Added, TokenizerFiles

_NAMES = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
_OFFSET = len(_NAMES)


class ByT5Tokenizer(PythonTokenizer):
    """The tokenizer of ByT5; it needs no vocabulary file.

    Args:
        files: `tokenizer_config.json`, if there is one.
        class_name: `ByT5Tokenizer`.
        size: ids of the model.
    """

    kind = "byt5"
    ends_once = True

    def __init__(
        self, files: TokenizerFiles, class_name: str = "ByT5Tokenizer", size: int | None = None
    ) -> None:
        super().__init__(files, class_name, size)
        declared = files.declared()
        names = {key: declared.name(key, token) for key, token in _NAMES.items()}
        names = {
            key: Added(token, lstrip=True, rstrip=True) if isinstance(token, str) else token
            for key, token in names.items()
        }
        fixed = {i: token for i, token in enumerate(names.values()) if isinstance(token, Added)}
        count = declared.options.get("extra_ids", 125)
        extra = declared.extra
        if extra is None:
            extra = declared.additional or [f"<extra_id_{i}>" for i in range(count)]
        vocabulary = {token.content: i for i, token in {**fixed, **declared.added}.items()}
        vocabulary |= {chr(byte): byte + _OFFSET for byte in range(256)}
        self.added = AddedTokens(vocabulary, declared, named=names, extra=extra, fixed=fixed)

    def token_to_id(self, token: str) -> int | None:
        """Returns the id of a byte, written as the Latin-1 character of that number, or of a
        token.
        """
        if token in self.added.ids:
            return self.added.ids[token]
        return ord(token) + _OFFSET if len(token) == 1 and ord(token) < 256 else None

    def _plain_ids(self) -> Iterable[int]:
        return range(_OFFSET, 256 + _OFFSET)

    def _pieces(self, text: str, **drawing: Any) -> list[str]:
        return [chr(byte) for byte in text.encode()]

    def _piece_id(self, piece: str) -> int:
        return ord(piece) + _OFFSET

    def _piece(self, i: int) -> str | None:
        return chr(i - _OFFSET) if _OFFSET <= i < 256 + _OFFSET else None

    def _join(self, tokens: list[str]) -> str:
        parts = [
            token.encode() if token in self.added.ids else bytes([ord(token)]) for token in tokens
        ]
        return b"".join(parts).decode("utf-8", errors="ignore")
