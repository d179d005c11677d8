"""Byte-pair merges as a loop over flat tensors, without a cache.

Letters: W words, L symbols of a word (ragged), N symbols of all words, M merges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

#: More than every rank.
_NEVER = 2**31 - 1


class BytePairMerges:
    """Merges the adjacent symbols of words, the pair of the lowest rank first.

    Args:
        merges: pair of symbol ids to its rank and the id of the merged symbol.
        at_once: merge every occurrence of the best pair before the next pair is chosen, as the
            algorithm is written [Sennrich 2016]; None does so where the result is that of
            merging one occurrence at a time, as the `tokenizers` library does.
    """

    def __init__(
        self, merges: Mapping[tuple[int, int], tuple[int, int]], *, at_once: bool | None = None
    ) -> None:
        self._base = 1 + max((i for pair in merges for i in pair), default=0)
        keys = np.array([a * self._base + b for a, b in merges], np.int64)
        order = np.argsort(keys)
        values = np.array(list(merges.values()), np.int32).reshape(-1, 2)[order]
        # A key above all others, so that a search always ends inside the table.
        self._keys = np.append(keys[order], np.iinfo(np.int64).max)
        self._ranks = np.append(values[:, 0], _NEVER).astype(np.int32)
        self._merged = np.append(values[:, 1], 0).astype(np.int32)
        self._at_once = _grows(merges) if at_once is None else at_once

    def __call__(self, words: Any) -> Any:
        """Returns the merged symbols of ragged int32 `words [W, L]`."""
        import tensorflow as tf

        count = words.nrows()
        keys, ranks, merged = map(tf.constant, (self._keys, self._ranks, self._merged))

        def body(ids: Any, rows: Any, _: Any) -> Any:
            left, right, row = ids[:-1], ids[1:], rows[:-1]
            # Symbols outside of the table are in no pair.
            inside = (left < self._base) & (right < self._base) & tf.equal(row, rows[1:])
            pairs = tf.cast(left, tf.int64) * self._base + tf.cast(right, tf.int64)
            places = tf.searchsorted(keys, pairs)
            found = inside & tf.equal(tf.gather(keys, places), pairs)
            rank = tf.where(found, tf.gather(ranks, places), _NEVER)
            best = tf.math.unsorted_segment_min(rank, row, count)
            chosen = found & tf.equal(rank, tf.gather(best, row))
            position = tf.range(tf.size(rank))
            if self._at_once:
                # In a run such as a a a a, every other pair.
                before = tf.concat([tf.zeros_like(chosen[:1]), chosen[:-1]], axis=0)
                starts = chosen & ~before
                run = tf.maximum(tf.cumsum(tf.cast(starts, tf.int32)) - 1, 0)
                first = tf.concat([tf.boolean_mask(position, starts), [0]], axis=0)
                chosen = chosen & tf.equal((position - tf.gather(first, run)) % 2, 0)
            else:
                places_of = tf.where(chosen, position, _NEVER)
                first = tf.math.unsorted_segment_min(places_of, row, count)
                chosen = chosen & tf.equal(position, tf.gather(first, row))
            ids = tf.concat([tf.where(chosen, tf.gather(merged, places), left), ids[-1:]], axis=0)
            keep = tf.concat([tf.ones_like(ids[:1], tf.bool), ~chosen], axis=0)
            return (
                tf.boolean_mask(ids, keep),
                tf.boolean_mask(rows, keep),
                tf.reduce_any(chosen),
            )

        ids, rows, _ = tf.while_loop(
            lambda ids, rows, going: going,
            body,
            (words.flat_values, words.value_rowids(), tf.constant(True)),
            shape_invariants=(tf.TensorShape([None]), tf.TensorShape([None]), tf.TensorShape([])),
            parallel_iterations=1,
        )
        return tf.RaggedTensor.from_value_rowids(ids, rows, nrows=count)


def _grows(merges: Mapping[tuple[int, int], tuple[int, int]]) -> bool:
    """Returns whether every symbol is merged on only after all merges that make it.

    A merge then never makes a pair of a lower rank, and merging one occurrence of a pair cannot
    change what becomes of the others.
    """
    made: dict[int, int] = {}
    for rank, merged in merges.values():
        made[merged] = max(rank, made.get(merged, -1))
    return all(
        rank > max(made.get(left, -1), made.get(right, -1))
        for (left, right), (rank, _) in merges.items()
    )
