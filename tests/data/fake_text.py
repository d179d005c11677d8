"""A preprocessor small enough to check by eye: an id a character."""

from __future__ import annotations

from keras_s2s.config import SpecialIds

BASE = 10


def special_ids(start=2, eos=3, pad=0, bos=None, source_eos=3, source_pad=0) -> SpecialIds:
    return SpecialIds.model_validate(
        {
            "source": {"pad": source_pad, "eos": source_eos},
            "target": {"decoder_start": start, "eos": eos, "pad": pad, "bos": bos},
        }
    )


class FakePreprocessor:
    """`a` is 10, `b` is 11, ...; EOS is appended to both sides."""

    def __init__(self, special: SpecialIds | None = None) -> None:
        self.special_ids = special or special_ids()

    def encode_source(self, texts):
        return [[*self._ids(text), self.special_ids.source.eos] for text in texts]

    def encode_target(self, texts):
        return [[*self._ids(text), self.special_ids.target.eos] for text in texts]

    def source_tokens(self, ids):
        return [self._token(i) for i in ids]

    def target_tokens(self, ids):
        return [self._token(i) for i in ids]

    @staticmethod
    def _ids(text):
        return [ord(character) - ord("a") + BASE for character in text]

    @staticmethod
    def _token(i):
        return chr(i - BASE + ord("a")) if i >= BASE else f"<{i}>"
