"""Base class of tokenizers that split a text and look its tokens up in a vocabulary."""

from __future__ import annotations

import abc
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

from keras_s2s.text.special_tokens import UNKNOWN_SURFACE
from keras_s2s.text.trained.base import TrainedTokenizer
from keras_s2s.text.trained.normalization import Normalizer
from keras_s2s.text.trained.vocabulary import Vocabulary


class VocabularyTokenizer(TrainedTokenizer):
    """Base class of tokenizers that split a text and look its tokens up in a vocabulary.

    A subclass says how a text is split into tokens and how tokens are joined to a text. `split`
    must not return a special token, so that no text reaches its id.

    Args:
        vocabulary: the known tokens.
        normalizer: applied before splitting.
    """

    def __init__(self, vocabulary: Vocabulary, normalizer: Normalizer) -> None:
        self.vocabulary = vocabulary
        self.normalizer = normalizer

    @staticmethod
    @abc.abstractmethod
    def split(text: str) -> Iterable[str]:
        """Returns the tokens of a normalised text."""

    @staticmethod
    @abc.abstractmethod
    def join(tokens: Iterable[str]) -> str:
        """Returns the text of tokens that `split` made."""

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        normalizer: Normalizer,
        vocab_size: int | None,
        extra: Sequence[str] = (),
    ) -> Self:
        """Makes a tokenizer of the most frequent tokens of `texts`, and of `extra` tokens for
        pre-training.
        """
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(cls.split(normalizer(text)))
        return cls(Vocabulary.from_counts(counts, vocab_size, extra), normalizer)

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, special ones included."""
        return len(self.vocabulary)

    def token_to_id(self, token: str) -> int | None:
        """Returns the id of a token, as `split` returns it, or of a special token; or `None`."""
        return self.vocabulary.ids.get(token)

    def _encode(self, text: str) -> list[int]:
        ids, unk = self.vocabulary.ids, self.vocabulary.unk_id
        return [ids.get(token, unk) for token in self.split(self.normalizer(text))]

    def _decode(self, ids: list[int]) -> str:
        tokens, unk = self.vocabulary.tokens, self.vocabulary.unk_id
        return self.join(UNKNOWN_SURFACE if i == unk else tokens[i] for i in ids)

    def _settled(self, ids: list[int]) -> str:
        return self._decode(ids)

    def _token(self, i: int) -> str:
        return self.vocabulary.tokens[i]

    def _settings(self) -> dict[str, Any]:
        return {"normalization": self.normalizer.form, "lowercase": self.normalizer.lowercase}

    def _files(self) -> dict[str, bytes]:
        return {"vocabulary.json": self.vocabulary.to_bytes()}

    @classmethod
    def _restore(cls, settings: dict[str, Any], files: dict[str, bytes]) -> Self:
        normalizer = Normalizer(settings["normalization"], settings["lowercase"])
        return cls(Vocabulary.from_bytes(files["vocabulary.json"]), normalizer)
