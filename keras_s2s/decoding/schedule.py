"""Schedules batches so that they stay full although sources end at different steps.

Sources of a batch end one by one, and a step with few rows costs almost as much as one with all of
them. Therefore a batch that is half empty waits while the next one starts, and when that one is
half empty at the same step, the two are joined. Results do not depend on this: a joined batch
computes what its parts would have computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from keras_s2s.decoding.driver import Driver
from keras_s2s.decoding.segments import Group, Part

#: Most rows that may wait, as a multiple of those of a full batch: their caches take memory.
WAITING = 2


def decode(
    driver: Driver,
    batches: Iterable[tuple[np.ndarray, Mapping[str, np.ndarray]]],
    steps: int,
) -> Iterator[Part]:
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
    waiting: dict[int, Group] = {}  # by the step they wait at
    group = None
    while True:
        if group is None:
            if batch is not None:
                group, batch = Group(driver, *batch, steps), next(coming, None)
                full = full or len(group)
            elif waiting:
                group = waiting.pop(min(waiting))  # joins those that wait at the same step
            else:
                return
        group.advance(driver.segment_steps)
        if not group.live.size:
            yield from group.done()
            group = None
            continue
        size = driver.rows_worth_keeping(len(group.live), len(group))
        if size < len(group):
            yield from group.done()
            group.shrink(size)
        other = waiting.get(group.index)
        if other is not None and len(group.live) + len(other.live) <= full:
            del waiting[group.index]
            yield from group.done()
            yield from other.done()
            group.join(other)
        elif other is None and 2 * len(group) <= full:
            earlier = batch is not None or any(index < group.index for index in waiting)
            room = sum(map(len, waiting.values())) + len(group) <= WAITING * full
            if earlier and room:
                waiting[group.index], group = group, None
