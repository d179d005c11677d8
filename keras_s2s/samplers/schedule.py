"""Which sources are decoded next, so that batches stay full although sources end at their own time.

A batch loses its sources one by one, and a step with few rows costs almost what one with all of
them costs. So a batch that is half empty is set aside, the next one starts, and when that is
half empty at the same step the two halves go on as one. What a source is given does not depend
on its company: a joined batch computes what its parts would have computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from keras_s2s.samplers.driver import Driver
from keras_s2s.samplers.segments import FILLER, Group, Part

#: Rows that may wait, in full batches: their caches take memory.
WAITING = 2


def decode(
    driver: Driver,
    batches: Iterable[tuple[np.ndarray, Mapping[str, np.ndarray]]],
    steps: int,
) -> Iterator[Part]:
    """Generate for every source of every batch.

    Args:
        driver: runs the loop.
        batches: `(places, inputs)`, each asked for when its turn comes: the place of each source
            among all (`FILLER` for a row that belongs to nobody), and the inputs of `Loop.start`
            as NumPy arrays. No batch is larger than the first.
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
                group = waiting.pop(min(waiting))  # on its way it meets the others
            else:
                return
        group.advance(driver.segment_steps)
        yield from _results(group, driver)
        if not len(group.live):
            group = None
            continue
        other = waiting.get(group.index)
        if other is not None and len(group.live) + len(other.live) <= full:
            del waiting[group.index]
            yield from _handed_out(group, other)
            group.join(other)
        elif other is None and 2 * len(group) <= full:
            earlier = batch is not None or any(index < group.index for index in waiting)
            room = sum(map(len, waiting.values())) + len(group) <= WAITING * full
            if earlier and room:
                waiting[group.index], group = group, None


def _results(group: Group, driver: Driver) -> Iterator[Part]:
    """What the group hands out after a segment; it shrinks where that is worth it."""
    live = len(group.live)
    size = driver.rows_for(live, len(group)) if live else 0
    if size == len(group):
        return
    yield from _handed_out(group)
    if live:
        group.shrink(size)


def _handed_out(*groups: Group) -> Iterator[Part]:
    """The results of the sources that are done, and about to leave."""
    parts = (group.done() for group in groups)
    yield from (part for part in parts if (part.places != FILLER).any())
