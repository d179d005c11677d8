"""Decodes batches of sources segment by segment: runs of steps between which sources leave or join.

Between two segments sources that are done are removed, the capacity is extended, and sources that
wait at the same step are added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_s2s.decoding.diagnosis import NonFiniteLogits
from keras_s2s.decoding.drivers.driver import Driver
from keras_s2s.samplers.sampler import Result, Sampler

#: Steps that the first segment has room for; doubled as often as needed.
FIRST_CAPACITY = 32

#: The place of a filler row.
FILLER = -1


class Finished(NamedTuple):
    """Results of sources that are done.

    Attributes:
        places: int `[N]`, whose result each row is (as `RunningBatch.places`); `FILLER` for rows
            without one.
        result: NumPy arrays `[N, ...]`.
    """

    places: np.ndarray
    result: Result


class RunningBatch:
    """Sources that have taken the same number of steps, and are decoded together.

    An entry is a source, or one of the draws of a source (`Sampler.copies`), with all its
    hypotheses; or a filler, which only makes the batch as large as a compiled program.

    Args:
        driver: runs the loop.
        places: int `[B]`, the place of each source among all, or `FILLER`.
        inputs: those of `Loop.start`, as NumPy arrays.
        steps: the most that any source of the generation takes; batches with the same `steps`
            have the same capacity at the same step, unless their results have grown by different
            numbers of ids.

    Attributes:
        places: int `[N]`, the place of each row now in the batch, among all draws of all
            sources: that of the source times `copies`, plus the draw's; `FILLER` for a filler.
        live: the rows that are neither done nor fillers.
        index: the number of the next step.
    """

    def __init__(
        self, driver: Driver, places: np.ndarray, inputs: Mapping[str, np.ndarray], steps: int
    ) -> None:
        self.driver = driver
        self.steps = steps
        self.capacity = driver.capacity_for(FIRST_CAPACITY, steps)
        self._fixed, self._changing = driver.start(inputs, self.capacity)
        self._candidates = driver.candidates(self._fixed)
        copies = driver.loop.sampler.copies
        draws = np.repeat(places, copies) * copies + np.tile(np.arange(copies), len(places))
        self.places = np.where(np.repeat(places, copies) == FILLER, FILLER, draws)
        self.live = np.flatnonzero(self.places != FILLER)
        self.index = 0

    def __len__(self) -> int:
        return len(self.places)

    def advance(self, steps: int) -> None:
        """Takes some steps: up to the capacity, or until every source is done.

        Raises:
            NonFiniteLogits: the logits of a source are NaN or infinite.
        """
        if self.index == self.capacity:
            self._grow(self.driver.capacity_for(2 * self.capacity, self.steps))
        while self.driver.loop.full(self._changing):
            self._grow(self.driver.capacity_for(2 * self.capacity, self.steps))
        end = min(self.capacity, self.steps, self.index + steps)
        self._changing, self.index, finished, finite = self.driver.segment(
            self._fixed, self._changing, self.index, end, self._candidates
        )
        wrong = self.places[~finite & (self.places != FILLER)]
        if wrong.size:
            copies = self.driver.loop.sampler.copies
            raise NonFiniteLogits(sorted(set((wrong // copies).tolist())), self.index)
        done = finished if self.index < self.steps else np.ones_like(finished)
        self.live = np.flatnonzero(~done & (self.places != FILLER))

    def _grow(self, capacity: int) -> None:
        if capacity > self.capacity:
            self.capacity = capacity
            self._changing = self.driver.grow(self._fixed, self._changing, capacity)

    def result(self) -> Result:
        """Returns the results so far, for every row."""
        return self.driver.finish(self._changing)

    def final(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the ids of each row's best sequence that are final, and how many."""
        sampler = self.driver.loop.sampler
        if type(sampler).final_ids is not Sampler.final_ids and len(self.live):
            search = keras.tree.map_structure(ops.convert_to_numpy, self._changing[0])
            found = sampler.final_ids(search, self.index)
            assert found is not None
            return found
        result = self.result()
        return result.token_ids[:, 0], result.lengths[:, 0]

    def done(self) -> list[Finished]:
        """Returns the results of sources that are done and still have a row; nothing if there are
        none.
        """
        places = self.places.copy()
        places[self.live] = FILLER
        return [Finished(places, self.result())] if (places != FILLER).any() else []

    def shrink(self, size: int) -> None:
        """Keeps the sources that are not done, in `size` rows."""
        rows = _filled(self.live, size)
        self._fixed, self._changing = self.driver.select(self._fixed, self._changing, rows)
        self._placed(self.places[self.live], size)

    def join(self, other: RunningBatch) -> None:
        """Adds the sources of a batch at the same step; sources that are done leave both."""
        assert self.index == other.index
        self._grow(other.capacity)
        other._grow(self.capacity)
        live = np.concatenate([self.live, len(self) + other.live])
        places = np.concatenate([self.places, other.places])[live]
        size = self.driver.rows_when_joined(len(live), max(len(self), len(other)))
        parts = (self._fixed, self._changing), (other._fixed, other._changing)
        self._fixed, self._changing = self.driver.join(*parts, _filled(live, size))
        self._placed(places, size)

    def _placed(self, places: np.ndarray, size: int) -> None:
        """Sets the places of the first of `size` rows; the others are fillers."""
        self._candidates = self.driver.candidates(self._fixed)
        self.places = np.full(size, FILLER)
        self.places[: len(places)] = places
        self.live = np.arange(len(places))


def _filled(rows: np.ndarray, size: int) -> np.ndarray:
    """Returns `rows`, filled up to `size` with the first of them; int32."""
    return np.concatenate([rows, np.repeat(rows[:1], size - len(rows))]).astype("int32")


class Partial(NamedTuple):
    """What is known of the best sequence of each source.

    Attributes:
        token_ids: int32 `[B, C]`.
        lengths: int32 `[B]`, how many of them are final.
        done: bool `[B]`, whether these are all.
    """

    token_ids: np.ndarray
    lengths: np.ndarray
    done: np.ndarray


def partial_results(
    driver: Driver, inputs: Mapping[str, np.ndarray], stride: int
) -> Iterator[Partial]:
    """Yields what is final after every `stride` steps, and at the end."""
    places = np.arange(len(inputs["places"]))
    sampler = driver.loop.sampler
    steps = int(inputs["limits"].max()) + sampler.lookahead + sampler.drafts
    batch = RunningBatch(driver, places, inputs, steps)
    while len(batch.live):
        batch.advance(stride)
        done = np.ones(len(batch), bool)
        done[batch.live] = False
        yield Partial(*batch.final(), done)


def gathered(parts: Sequence[Finished], count: int, sampler: Sampler, pad: int) -> Result:
    """Returns the results of all parts in the order of the sources, with draws of a source side by
    side.

    Args:
        count: sources of the generation.
        sampler: the strategy that found them.
        pad: fills up ids.

    Returns:
        NumPy arrays `[count, copies * N, ...]`; histories are as long as the longest result.
    """
    copies = sampler.copies
    n = sampler.num_return_sequences // copies
    ends = [part.lengths[places != FILLER].max() for places, part in parts]
    length = int(max(ends, default=0))
    whole = Result(
        np.full((count * copies, n, length), pad, np.int32),
        np.zeros((count * copies, n), np.int32),
        np.zeros((count * copies, n), np.float32),
        np.zeros((count * copies, n, length), np.float32),
    )
    for places, part in parts:
        rows = np.flatnonzero(places != FILLER)
        to, size = places[rows], min(length, part.token_ids.shape[-1])
        whole.lengths[to], whole.scores[to] = part.lengths[rows], part.scores[rows]
        whole.token_ids[to, :, :size] = part.token_ids[rows, :, :size]
        whole.token_log_probs[to, :, :size] = part.token_log_probs[rows, :, :size]
    n *= copies
    return Result(*[values.reshape(count, n, *values.shape[2:]) for values in whole])
