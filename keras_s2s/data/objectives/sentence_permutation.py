"""Sentence permutation: the sentences of a text in another order [Lewis 2020, section 2.2].

text     It rains . We stay . Nobody calls .
source   Nobody calls . It rains . We stay .
target   It rains . We stay . Nobody calls .
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from keras_s2s.data.objectives.objective import Objective, distinct_ids

if TYPE_CHECKING:
    from keras_s2s.text.tokenizer import Tokenizer

#: Characters that end a sentence.
SENTENCE_ENDS = ".!?。！？"


class SentencePermutation(Objective):
    """Puts sentences into a random order; the target is the text itself.

    A sentence ends with a token that ends in a full stop, an exclamation mark or a question mark,
    or with the last of several such tokens (`?!`), and at the end of the text. Only tokens
    are considered: the full stop of an abbreviation ends a sentence, too. A text of one sentence
    stays as it is.

    Args:
        end_ids: ids that end a sentence; by default those of the tokenizer.

    Raises:
        ValueError: an argument is outside its range.

    Example:
        >>> rule = SentencePermutation(end_ids=[9])
        >>> rule(np.array([5, 9, 6, 7, 9]), np.random.default_rng(3))[0]
        array([6, 7, 9, 5, 9], dtype=int32)
    """

    keeps_tokens: ClassVar[bool] = True

    def __init__(self, *, end_ids: Sequence[int] | None = None) -> None:
        self.end_ids = None if end_ids is None else distinct_ids("end_ids", end_ids)

    def bind(self, tokenizer: Tokenizer | None) -> SentencePermutation:
        if self.end_ids is not None:
            return self
        if tokenizer is None:
            raise ValueError(
                "sentence permutation must know which ids end a sentence, and there is no "
                "tokenizer; pass them: SentencePermutation(end_ids=...)"
            )
        texts = tokenizer.decode_batch([i] for i in range(tokenizer.vocabulary_size))
        ends = [i for i, text in enumerate(texts) if text.rstrip().endswith(tuple(SENTENCE_ENDS))]
        if not ends:
            raise ValueError(
                f"sentence permutation: no token of the tokenizer ends in one of {SENTENCE_ENDS}; "
                "pass the ids that end a sentence: SentencePermutation(end_ids=...)"
            )
        return SentencePermutation(end_ids=ends)

    def __call__(self, ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        ids = np.asarray(ids, "int32")
        sentences = self.sentences(ids)
        order = rng.permutation(len(sentences))
        return np.concatenate([sentences[i] for i in order] or [ids]), ids

    def sentences(self, ids: np.ndarray) -> list[np.ndarray]:
        """Returns the sentences of a text, `ids` int `[L]`; together they are the text."""
        if self.end_ids is None:
            raise ValueError(
                "what ends a sentence is not known; pass end_ids=..., or call bind(tokenizer)"
            )
        if not len(ids):
            return []
        is_end = np.isin(ids, self.end_ids)
        return np.split(ids, np.flatnonzero(is_end[:-1] & ~is_end[1:]) + 1)

    def longest(self, length: int) -> tuple[int, int]:
        return length, length
