"""Chooses length buckets: the padded shapes of a data set's batches.

Every distinct shape costs a compilation, every padded position costs compute. A few buckets,
with their bounds chosen for the lengths at hand, keep both small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

BatchUnit = Literal["sentences", "tokens"]

# Lengths are rounded up to a multiple of this, so that the splits of a data set come to share
# shapes. For sentences of 15 tokens in 6 buckets a multiple of 8 pads 25 % of all positions,
# a multiple of 4 pads 16 %, and no rounding at all 15 %.
LENGTH_MULTIPLE = 4

# A further bucket must save this share of all positions, else its compilation is not worth it.
_WORTHWHILE = 0.01
_MAX_CANDIDATES = 512


@dataclass(frozen=True)
class Bucket:
    """The shape of a bucket's batches.

    Attributes:
        rows: examples a batch.
        source_length: padded source length S.
        target_length: padded target length T.
    """

    rows: int
    source_length: int
    target_length: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape `(rows, S, T)`."""
        return self.rows, self.source_length, self.target_length

    @property
    def positions(self) -> int:
        """Source and target positions of one batch, padding included."""
        return self.rows * (self.source_length + self.target_length)


def choose_buckets(
    source_lengths: np.ndarray,
    target_lengths: np.ndarray,
    *,
    num_buckets: int,
    batch_size: int,
    batch_unit: BatchUnit,
    row_multiple: int = 1,
) -> list[Bucket]:
    """Chooses the buckets with the least padding, from short to long.

    Each bucket is at least as long as the one before it on both sides, so that its batches
    can take up examples left over there. Of the possible bounds the best are found exactly,
    by dynamic programming.

    Args:
        source_lengths: int `[N]`.
        target_lengths: int `[N]`.
        num_buckets: at most this many.
        batch_size: rows a batch, or positions on its longer side.
        batch_unit: which of the two.
        row_multiple: rows are a multiple of this.

    Returns:
        At most `num_buckets` buckets; the last one holds the longest examples.

    Example:
        >>> lengths = np.array([3, 3, 3, 40])
        >>> buckets = choose_buckets(
        ...     lengths, lengths, num_buckets=2, batch_size=2, batch_unit="sentences"
        ... )
        >>> [bucket.shape for bucket in buckets]
        [(2, 4, 4), (2, 40, 40)]
    """
    keys = _rounded(np.maximum(source_lengths, target_lengths))
    bounds = np.unique(keys)
    if len(bounds) > _MAX_CANDIDATES:
        bounds = bounds[np.linspace(0, len(bounds) - 1, _MAX_CANDIDATES).round().astype(int)]
    # Examples up to each bound, and the longest source and target among them.
    order = np.argsort(keys, kind="stable")
    counts = np.searchsorted(keys[order], bounds, side="right")
    sources = _padded(source_lengths[order], counts)
    targets = _padded(target_lengths[order], counts)

    buckets = []
    for bound in _best_bounds(counts, sources + targets, num_buckets):
        source_length, target_length = int(sources[bound]), int(targets[bound])
        rows = batch_size
        if batch_unit == "tokens":
            rows = max(1, batch_size // max(source_length, target_length))
        rows = max(row_multiple, rows // row_multiple * row_multiple)
        rows = min(rows, -(-len(keys) // row_multiple) * row_multiple)
        buckets.append(Bucket(rows, source_length, target_length))
    return buckets


def assign_buckets(
    buckets: list[Bucket], source_lengths: np.ndarray, target_lengths: np.ndarray
) -> np.ndarray:
    """Returns the number of the shortest bucket that holds each example, int `[N]`."""
    by_source = np.searchsorted([bucket.source_length for bucket in buckets], source_lengths)
    by_target = np.searchsorted([bucket.target_length for bucket in buckets], target_lengths)
    return np.maximum(by_source, by_target)


def _rounded(lengths: np.ndarray) -> np.ndarray:
    return -(-lengths // LENGTH_MULTIPLE) * LENGTH_MULTIPLE


def _padded(lengths: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns the padded length for the first `counts` examples, at most that of the longest
    example.
    """
    longest = np.maximum.accumulate(lengths)
    return np.minimum(_rounded(longest[counts - 1]), longest[-1])


def _best_bounds(counts: np.ndarray, widths: np.ndarray, num_buckets: int) -> list[int]:
    """Returns the ends of the buckets among the candidate bounds.

    Args:
        counts: int `[C]`, examples up to each bound.
        widths: int `[C]`, padded positions of an example in a bucket that ends there.
        num_buckets: at most this many.
    """
    size = len(counts)
    before = np.concatenate([[0], counts[:-1]])
    # cost[i, j]: positions of a bucket from bound i to bound j.
    cost = (counts[None, :] - before[:, None]) * widths[None, :].astype("float64")
    cost[np.tril_indices(size, -1)] = np.inf
    best = [cost[0]]  # best[k][j]: positions up to bound j in k + 1 buckets
    choices: list[np.ndarray] = []
    for _ in range(1, min(num_buckets, size)):
        # A bucket from i to j, after the best division of what ends at i - 1.
        total = best[-1][:-1, None] + cost[1:, :]  # [i - 1, j]
        choices.append(np.argmin(total, axis=0))
        best.append(np.min(total, axis=0))
    finals = np.array([row[-1] for row in best])
    buckets = int(np.argmax(finals <= finals.min() * (1 + _WORTHWHILE)))
    ends = [size - 1]
    for k in range(buckets - 1, -1, -1):
        ends.append(int(choices[k][ends[-1]]))
    return ends[::-1]
