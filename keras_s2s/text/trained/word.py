"""Word tokenizer: a token for each word or punctuation mark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

from keras_s2s.text.special_tokens import UNKNOWN_SURFACE
from keras_s2s.text.trained.base import TrainedTokenizer
from keras_s2s.text.trained.normalization import Normalizer
from keras_s2s.text.trained.vocabulary import Vocabulary
from keras_s2s.text.trained.word_pattern import compiled_token_pattern

# Marks a token that follows its predecessor without white space, as OpenNMT's tokenizer
# does: detokenisation is then exact in every language and needs no rules.
JOINER = "\uffed"


class WordTokenizer(TrainedTokenizer):
    """A tokenizer whose tokens are words, numbers, symbols and punctuation marks.

    Text is split at white space, then by `word_pattern.token_pattern`.  A token that
    directly follows another begins with `￭`, so that decoding gives the text back, apart
    from the normalisation, unknown words, and white space, which becomes single spaces.

    Args:
        vocabulary: the known tokens.
        normalizer: applied before splitting.

    Example:
        >>> split_words("Hello, world!")
        ['Hello', '￭,', 'world', '￭!']
    """

    kind = "word"

    def __init__(self, vocabulary: Vocabulary, normalizer: Normalizer) -> None:
        self.vocabulary = vocabulary
        self.normalizer = normalizer

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        normalizer: Normalizer,
        vocab_size: int | None,
        extra: Sequence[str] = (),
    ) -> WordTokenizer:
        """Makes a tokenizer of the most frequent tokens of `texts`, and of `extra` tokens for
        pre-training.
        """
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(split_words(normalizer(text)))
        return cls(Vocabulary.from_counts(counts, vocab_size, extra), normalizer)

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, special ones included."""
        return len(self.vocabulary)

    def token_to_id(self, token: str) -> int | None:
        """Returns the id of a token (with its joiner mark) or special token, or `None`."""
        return self.vocabulary.ids.get(token)

    def _encode(self, text: str) -> list[int]:
        # The pattern splits at `<` and `>`, so no text can reach a special token's id.
        ids, unk = self.vocabulary.ids, self.vocabulary.unk_id
        return [ids.get(token, unk) for token in split_words(self.normalizer(text))]

    def _decode(self, ids: list[int]) -> str:
        tokens, unk = self.vocabulary.tokens, self.vocabulary.unk_id
        return join_words(UNKNOWN_SURFACE if i == unk else tokens[i] for i in ids)

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


def split_words(text: str) -> list[str]:
    """Splits a text into tokens; those without white space before them are marked by `￭`."""
    tokens: list[str] = []
    end = -1
    for match in compiled_token_pattern().finditer(text):
        token = match.group()
        tokens.append(JOINER + token if match.start() == end else token)
        end = match.end()
    return tokens


def join_words(tokens: Iterable[str]) -> str:
    """Joins tokens that `split_words` made, with single spaces."""
    parts: list[str] = []
    for token in tokens:
        # A lone mark is the character itself, from the text.
        if token.startswith(JOINER) and len(token) > len(JOINER):
            parts.append(token[len(JOINER) :])
        else:
            parts.append(f" {token}" if parts else token)
    return "".join(parts)
