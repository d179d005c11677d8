"""Byte tokenizer: a token for each UTF-8 byte; it needs no training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from keras_s2s.text.special_tokens import SPECIAL_TOKENS, UNK_TOKEN, UNKNOWN_SURFACE
from keras_s2s.text.stable_prefix import HALF
from keras_s2s.text.trained.base import TrainedTokenizer
from keras_s2s.text.trained.normalization import Normalizer
from keras_s2s.text.visible import make_visible


class ByteTokenizer(TrainedTokenizer):
    """A tokenizer whose tokens are UTF-8 bytes; lossless apart from the normalisation.

    Decoding bytes that are not UTF-8 (a model may generate any) gives U+FFFD for each
    broken sequence.

    Args:
        normalizer: applied before encoding.
        extra: tokens that no text gives, after the bytes.
    """

    kind = "byte"
    # Id of byte 0.
    offset = len(SPECIAL_TOKENS)

    def __init__(self, normalizer: Normalizer | None = None, extra: Sequence[str] = ()) -> None:
        self.normalizer = normalizer or Normalizer()
        self.extra = tuple(extra)
        spelled = (f"<0x{byte:02X}>" for byte in range(256))
        self._tokens = (*SPECIAL_TOKENS, *spelled, *self.extra)
        self._ids = {token: i for i, token in enumerate(self._tokens)}
        unknown = UNKNOWN_SURFACE.encode()
        self._bytes = [
            *(unknown if token == UNK_TOKEN else b"" for token in SPECIAL_TOKENS),
            *(bytes([byte]) for byte in range(256)),
            *(b"" for _ in self.extra),
        ]

    @property
    def vocabulary_size(self) -> int:
        """256 bytes, the special ids and the extra tokens."""
        return len(self._tokens)

    def token_to_id(self, token: str) -> int | None:
        """Returns the id of a byte written `<0x41>` or of a special token, or `None`."""
        return self._ids.get(token)

    def printable(self, i: int) -> str:
        """Returns an ASCII byte as its character, any other as `<0xE2>`."""
        token = self.id_to_token(i)
        if i < self.offset or i - self.offset >= 128:
            return token
        return make_visible(chr(i - self.offset))

    def _encode(self, text: str) -> list[int]:
        return [byte + self.offset for byte in self.normalizer(text).encode()]

    def _decode(self, ids: list[int]) -> str:
        return b"".join([self._bytes[i] for i in ids]).decode("utf-8", errors="replace")

    def _settled(self, ids: list[int]) -> str:
        return self._decode(ids).rstrip(HALF)

    def _token(self, i: int) -> str:
        return self._tokens[i]

    def _settings(self) -> dict[str, Any]:
        settings = {"normalization": self.normalizer.form, "lowercase": self.normalizer.lowercase}
        return {**settings, "extra": list(self.extra)} if self.extra else settings

    def _files(self) -> dict[str, bytes]:
        return {}

    @classmethod
    def _restore(cls, settings: dict[str, Any], files: dict[str, bytes]) -> Self:
        normalizer = Normalizer(settings["normalization"], settings["lowercase"])
        return cls(normalizer, settings.get("extra", ()))
