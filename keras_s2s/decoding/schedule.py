"""Schedules batches so that they stay full although sources end at different steps.

Sources of a batch end one by one, and a step with few rows costs almost as much as one with all of
them. Therefore a batch that is half empty waits while the next one starts, and when that one is
half empty at the same step, the two are joined. Results do not depend on this: a joined batch
computes what its parts would have computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from keras_s2s.decoding.drivers.driver import Driver
from keras_s2s.decoding.segments import Finished, RunningBatch

#: Most rows that may wait, as a multiple of those of a full batch: their caches take memory.
WAITING = 2


def decode(
    driver: Driver,
    batches: Iterable[tuple[np.ndarray, Mapping[str, np.ndarray]]],
    steps: int,
) -> Iterator[Finished]:
    """Generates results for every source of every batch.

    Args:
        driver: runs the loop.
        batches: `(places, inputs)`, read one at a time: the number of each source among all, or
            `segments.FILLER` for a filler row, and the inputs of `Loop.start` as NumPy arrays.
            No batch is larger than the first.
        steps: the most that any source takes.

    Yields:
        results of the sources that are done; each source once.
    """
    coming = iter(batches)
    batch = next(coming, None)
    full = 0  # rows of a batch that has all its sources
    waiting: dict[int, RunningBatch] = {}  # by the step they wait at
    running = None
    while True:
        if running is None:
            if batch is not None:
                running, batch = RunningBatch(driver, *batch, steps), next(coming, None)
                full = full or len(running)
            elif waiting:
                running = waiting.pop(min(waiting))  # joins those that wait at the same step
            else:
                return
        running.advance(driver.segment_steps)
        if not running.live.size:
            yield from running.done()
            running = None
            continue
        size = driver.rows_worth_keeping(len(running.live), len(running))
        if size < len(running):
            yield from running.done()
            running.shrink(size)
        other = waiting.get(running.index)
        if other is not None and len(running.live) + len(other.live) <= full:
            del waiting[running.index]
            yield from running.done()
            yield from other.done()
            running.join(other)
        elif other is None and 2 * len(running) <= full:
            earlier = batch is not None or any(index < running.index for index in waiting)
            room = sum(map(len, waiting.values())) + len(running) <= WAITING * full
            if earlier and room:
                waiting[running.index], running = running, None
