"""Texts from which an objective draws a source and a target, another one in every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_s2s.data.examples.encoded_pairs import BatchReport
from keras_s2s.data.examples.ragged import RaggedIds
from keras_s2s.data.objectives.objective import Objective
from keras_s2s.layers.frontends import TOKEN_IDS


class Frame(NamedTuple):
    """The special ids before and after the ids of a text."""

    before: list[int]
    after: list[int]

    @property
    def size(self) -> int:
        """Number of these special ids."""
        return len(self.before) + len(self.after)

    def around(self, ids: np.ndarray) -> np.ndarray:
        """Returns a row with the special ids, int32 `[size + len(ids)]`."""
        return np.concatenate([self.before, ids, self.after]).astype("int32")


class DrawnPairs:
    """Encoded texts, and the pairs that an objective draws from them.

    A draw depends on the seed, the epoch and the number of the text among those that were given,
    not on the batch that the text is in or on other texts.

    Attributes:
        report: counts of texts used, dropped and truncated.
        source_lengths: ids of the longest source of each text, int64 `[N]`.
        target_lengths: ids of the longest target of each text, int64 `[N]`.
    """

    def __init__(self, objective: Objective, source: Frame, target: Frame, seed: int) -> None:
        self.report = BatchReport(what="texts")
        self._objective = objective
        self._source = source
        self._target = target
        self._seed = seed
        self._texts = RaggedIds()
        self._numbers: list[int] = []

    def append(self, number: int, ids: Sequence[int]) -> None:
        """Adds a text without special ids, the `number`-th of those that were given."""
        self._texts.append(ids)
        self._numbers.append(number)

    def longest(self, length: int) -> tuple[int, int]:
        """Returns the lengths of the longest source and target of a text of `length` ids, special
        ids included.
        """
        source, target = self._objective.longest(length)
        return source + self._source.size, target + self._target.size

    @property
    def source_lengths(self) -> np.ndarray:
        return self._lengths()[:, 0]

    @property
    def target_lengths(self) -> np.ndarray:
        return self._lengths()[:, 1]

    #: An objective makes its sources of texts.
    source_input = TOKEN_IDS

    @property
    def largest_ids(self) -> tuple[int, int]:
        """The largest id a source and a target can hold."""
        inner = [self._texts.largest, *self._objective.reserved]
        source, target = (
            max(*inner, *frame.before, *frame.after, -1) for frame in (self._source, self._target)
        )
        return source, target

    def pair(self, row: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns source and target ids of a text in an epoch, int32 `[S]` and `[T]`."""
        rng = np.random.default_rng((self._seed, epoch, self._numbers[row]))
        source, target = self._objective(self._texts[row], rng)
        return self._source.around(source), self._target.around(target)

    def _lengths(self) -> np.ndarray:
        known = {int(n): self.longest(int(n)) for n in np.unique(self._texts.lengths)}
        return np.array([known[int(n)] for n in self._texts.lengths], "int64").reshape(-1, 2)
