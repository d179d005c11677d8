"""Which examples are in which batch of an epoch, and in which order the batches come.

Both follow from the seed and the epoch alone, so that any batch of any epoch can be made without
those before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_s2s.data.epochs.buckets import Bucket


class PlannedBatch(NamedTuple):
    """The bucket and the examples of a batch that is not made yet."""

    bucket: int
    examples: np.ndarray


def plan_epoch(
    buckets: Sequence[Bucket],
    members: Sequence[np.ndarray],
    rng: np.random.Generator | None,
) -> list[PlannedBatch]:
    """Returns the batches of an epoch in their order.

    A batch of the longest shape comes first and one of the shortest second. Examples that do not
    fill a batch are moved into the next longer bucket.

    Args:
        buckets: from short to long.
        members: numbers of the examples of each bucket, int `[N]`.
        rng: draws examples and batches in a new order; `None` keeps that of the data.
    """
    batches = []
    left_over = np.empty(0, dtype="int64")
    for number, (bucket, inside) in enumerate(zip(buckets, members, strict=True)):
        if rng is not None:
            inside = rng.permutation(inside)
        # Shorter examples first: they are moved up until a bucket fills a batch.
        waiting = np.concatenate([left_over, inside])
        full = len(waiting) // bucket.rows * bucket.rows
        batches += [
            PlannedBatch(number, waiting[begin : begin + bucket.rows])
            for begin in range(0, full, bucket.rows)
        ]
        left_over = waiting[full:]
    if len(left_over):
        batches.append(PlannedBatch(len(buckets) - 1, left_over))

    order = list(range(len(batches)))
    if rng is not None:
        order = rng.permutation(len(batches)).tolist()
    for position, pick in enumerate((max, min)):
        if position < len(order):
            extreme = pick(order[position:], key=lambda i: batches[i].bucket)
            order.remove(extreme)
            order.insert(position, extreme)
    return [batches[i] for i in order]
