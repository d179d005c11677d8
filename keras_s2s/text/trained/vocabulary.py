"""Vocabularies: lists of tokens whose positions are their ids."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence

from keras_s2s.config import ConfigError
from keras_s2s.text.special_tokens import SPECIAL_TOKENS, UNK_TOKEN


class Vocabulary:
    """A vocabulary: tokens by id and ids by token, the special tokens first.

    Args:
        tokens: ordinary tokens in id order, without the special ones.

    Raises:
        ConfigError: a token occurs twice, or is spelled like a special one.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens: tuple[str, ...] = (*SPECIAL_TOKENS, *tokens)
        self.ids: dict[str, int] = {token: i for i, token in enumerate(self.tokens)}
        if len(self.ids) != len(self.tokens):
            twice = next(t for t, count in Counter(self.tokens).items() if count > 1)
            raise ConfigError(f"the vocabulary holds {twice!r} more than once")
        self.unk_id: int = self.ids[UNK_TOKEN]

    @classmethod
    def from_counts(
        cls, counts: Counter[str], max_size: int | None, extra: Sequence[str] = ()
    ) -> Vocabulary:
        """Makes a vocabulary of the most frequent tokens, ties in code-point order.

        Args:
            counts: token to number of occurrences.
            max_size: upper bound of the size, special tokens included.
            extra: tokens that no text holds, put last.
        """
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
        reserved = len(SPECIAL_TOKENS) + len(extra)
        room = len(ranked) if max_size is None else max(0, max_size - reserved)
        return cls([*ranked[:room], *extra])

    def __len__(self) -> int:
        return len(self.tokens)

    def to_bytes(self) -> bytes:
        """Returns the ordinary tokens as a JSON list, a token a line."""
        tokens = self.tokens[len(SPECIAL_TOKENS) :]
        return (json.dumps(tokens, ensure_ascii=False, indent=0) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Vocabulary:
        """Makes a vocabulary from what `to_bytes` returned."""
        tokens = json.loads(content)
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise ConfigError("the vocabulary file does not hold a JSON list of tokens")
        return cls(tokens)
