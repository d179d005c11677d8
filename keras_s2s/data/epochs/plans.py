"""The plans of a data set's epochs: its buckets, and the batches of each epoch.

The number of batches is the same in every epoch, and so are their shapes, also where the lengths of
examples are drawn anew: Keras asks for the number once, and schedules and resumed runs count by it.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

import numpy as np

from keras_s2s.data.epochs.buckets import BatchUnit, Bucket, assign_buckets, choose_buckets
from keras_s2s.data.epochs.order import PlannedBatch, plan_epoch
from keras_s2s.data.examples.encoded_pairs import EncodedPairs
from keras_s2s.data.examples.sampled_pairs import SampledPairs
from keras_s2s.data.objectives.drawn_pairs import DrawnPairs

#: Where lengths are drawn anew and batches are made by tokens, this share of batches is added to
#: those of the first epoch, so that others do not need more.
_SPARE_BATCHES = 0.01


class Epoch(NamedTuple):
    """The examples of an epoch and its batches, in their order."""

    number: int
    examples: EncodedPairs | DrawnPairs
    batches: list[PlannedBatch]


class EpochPlans:
    """Chooses buckets for examples, and plans epochs.

    Args:
        examples: encoded pairs, or what draws them.
        num_buckets: at most so many shapes.
        batch_size, batch_unit, row_multiple: as of `Batches`.
        shuffle: a new order for each epoch; what an objective draws is then new, too.
        seed: of the order.

    Attributes:
        buckets: from short to long.
        shapes: batches of each bucket in the first epoch.
        positions: real positions of an epoch, or of the longest that an objective draws.
    """

    def __init__(
        self,
        examples: EncodedPairs | DrawnPairs | SampledPairs,
        *,
        num_buckets: int,
        batch_size: int,
        batch_unit: BatchUnit,
        row_multiple: int,
        shuffle: bool,
        seed: int,
    ) -> None:
        self._examples = examples
        self._shuffle = shuffle
        self._seed = seed
        lengths = examples.source_lengths, examples.target_lengths
        self.positions = int(sum(side.sum() for side in lengths))
        self.buckets = choose_buckets(
            *lengths,
            num_buckets=num_buckets,
            batch_size=batch_size,
            batch_unit=batch_unit,
            row_multiple=row_multiple,
        )
        self._members = self._in_buckets(assign_buckets(self.buckets, *lengths))
        self._count: int | None = None
        if isinstance(examples, SampledPairs):
            # Batches of equally many rows are as many however examples lie in buckets.
            needed = [len(self._ordered(self._members, 0)), *self._needed(examples)]
            spare = math.ceil(_SPARE_BATCHES * max(needed)) if batch_unit == "tokens" else 0
            self._count = min(max(needed) + spare, len(lengths[0]))
        self._last = self._planned(0)
        self.shapes: Counter[Bucket] = Counter(
            self.buckets[batch.bucket] for batch in self._last.batches
        )

    def epoch(self, number: int) -> Epoch:
        """Returns the batches of an epoch, counted from 0."""
        if not self._shuffle and not isinstance(self._examples, SampledPairs):
            number = 0
        # One assignment, so that Keras' worker threads see a whole plan or another one.
        last = self._last
        if last.number != number:
            self._last = last = self._planned(number)
        return last

    def _planned(self, number: int) -> Epoch:
        if not isinstance(self._examples, SampledPairs):
            return Epoch(number, self._examples, self._ordered(self._members, number))
        drawn = self._examples.of_epoch(number)
        buckets = self._buckets_of(drawn)
        batches = self._ordered(self._in_buckets(buckets), number)
        assert self._count is not None
        if len(batches) > self._count:
            drawn, batches = self._fewer(self._examples, drawn, buckets, number, self._count)
        return Epoch(number, drawn, _split(batches, self._count))

    def _fewer(
        self,
        examples: SampledPairs,
        drawn: EncodedPairs,
        buckets: np.ndarray,
        number: int,
        count: int,
    ) -> tuple[EncodedPairs, list[PlannedBatch]]:
        """Plans an epoch whose drawn segmentations need more batches than the first one's.

        Some of those that lie in longer buckets than the likeliest segmentations of their texts
        give way to them: no more than needed, chosen by the seed.
        """
        plain = self._buckets_of(examples.plain)
        grown = np.flatnonzero(buckets > plain)
        grown = np.random.default_rng((self._seed, number, 1)).permutation(grown)
        share = 16
        while True:
            rows = grown[: math.ceil(len(grown) / share)]
            changed = buckets.copy()
            changed[rows] = plain[rows]
            batches = self._ordered(self._in_buckets(changed), number)
            if len(batches) <= count or share == 1:
                return drawn.with_rows_of(examples.plain, rows.tolist()), batches
            share //= 2

    def _needed(self, examples: SampledPairs) -> list[int]:
        """Returns how many batches the first epoch and the likeliest segmentations need."""
        return [
            len(self._ordered(self._in_buckets(self._buckets_of(pairs)), 0))
            for pairs in (examples.of_epoch(0), examples.plain)
        ]

    def _buckets_of(self, pairs: EncodedPairs) -> np.ndarray:
        return assign_buckets(self.buckets, pairs.source_lengths, pairs.target_lengths)

    def _in_buckets(self, numbers: np.ndarray) -> list[np.ndarray]:
        """Returns the examples of each bucket."""
        return [np.flatnonzero(numbers == i) for i in range(len(self.buckets))]

    def _ordered(self, members: list[np.ndarray], number: int) -> list[PlannedBatch]:
        rng = np.random.default_rng((self._seed, number)) if self._shuffle else None
        return plan_epoch(self.buckets, members, rng)


def _split(batches: list[PlannedBatch], count: int) -> list[PlannedBatch]:
    """Returns `count` batches: the fullest ones are halved until there are so many."""
    batches = list(batches)
    while len(batches) < count:
        place = max(range(len(batches)), key=lambda i: len(batches[i].examples))
        bucket, examples = batches[place]
        middle = (len(examples) + 1) // 2
        batches[place] = PlannedBatch(bucket, examples[:middle])
        batches.append(PlannedBatch(bucket, examples[middle:]))
    return batches
