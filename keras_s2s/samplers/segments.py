"""A generation as a row of segments: what is done leaves, what goes on gets more room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from keras_s2s.samplers.driver import Driver
from keras_s2s.samplers.loop import Loop
from keras_s2s.samplers.sampler import Result

#: Steps that the first segment has room for; doubled as often as needed.
FIRST_CAPACITY = 32


def decode(driver: Driver, inputs: Mapping[str, np.ndarray]) -> Result:
    """Generate for every source of a batch.

    Args:
        driver: runs the loop.
        inputs: those of `Loop.start`, as NumPy arrays.

    Returns:
        NumPy arrays; the length of its histories is what was needed.
    """
    count, steps = len(inputs["rows"]) * driver.loop.sampler.copies, int(inputs["limits"].max())
    capacity = driver.capacity_for(FIRST_CAPACITY, steps)
    fixed, changing = driver.start(inputs, capacity)
    found: list[tuple[np.ndarray, Result]] = []
    places = np.arange(count)  # of each row in the batch; -1 is a filler
    index = 0
    while True:
        end = min(capacity, steps, index + driver.segment_steps)
        changing, index, finished = driver.segment(fixed, changing, index, end)
        live = np.flatnonzero(~finished & (places >= 0))
        if index >= steps or not len(live):
            found.append((places, driver.finish(changing)))
            return _gathered(found, count, steps, driver.loop)
        size = driver.rows_for(len(live), len(places))
        if size < len(places):
            found.append((np.where(finished, places, -1), driver.finish(changing)))
            rows = np.concatenate([live, np.repeat(live[:1], size - len(live))])
            fixed, changing = driver.select(fixed, changing, rows.astype("int32"))
            places = np.where(np.arange(size) < len(live), places[rows], -1)
        if index == capacity:
            capacity = driver.capacity_for(2 * capacity, steps)
            changing = driver.grow(fixed, changing, capacity)


def partial_results(
    driver: Driver, inputs: Mapping[str, np.ndarray], stride: int
) -> Iterator[Result]:
    """The results as they stand after every `stride` steps, and at the end."""
    steps = int(inputs["limits"].max())
    capacity = driver.capacity_for(FIRST_CAPACITY, steps)
    fixed, changing = driver.start(inputs, capacity)
    index, over = 0, False
    while not over:
        end = min(capacity, steps, index + stride)
        changing, index, finished = driver.segment(fixed, changing, index, end)
        over = index >= steps or bool(finished.all())
        yield driver.finish(changing)
        if index == capacity and not over:
            capacity = driver.capacity_for(2 * capacity, steps)
            changing = driver.grow(fixed, changing, capacity)


def _gathered(found: list[tuple[np.ndarray, Result]], count: int, steps: int, loop: Loop) -> Result:
    """The parts' rows in the places they belong to; copies of a source next to each other."""
    length = min(steps, max(part.token_ids.shape[-1] for _, part in found))
    n = found[0][1].lengths.shape[1]
    whole = Result(
        np.full((count, n, length), loop.plan.pad, np.int32),
        np.zeros((count, n), np.int32),
        np.zeros((count, n), np.float32),
        np.zeros((count, n, length), np.float32),
    )
    for places, part in found:
        rows = np.flatnonzero(places >= 0)
        to = places[rows]
        whole.lengths[to], whole.scores[to] = part.lengths[rows], part.scores[rows]
        size = min(length, part.token_ids.shape[-1])  # the room may be more than the limit
        whole.token_ids[to, :, :size] = part.token_ids[rows, :, :size]
        whole.token_log_probs[to, :, :size] = part.token_log_probs[rows, :, :size]
    # [B * copies, N, ...] -> [B, copies * N, ...]
    n *= loop.sampler.copies
    return Result(*[part.reshape(-1, n, *part.shape[2:]) for part in whole])
