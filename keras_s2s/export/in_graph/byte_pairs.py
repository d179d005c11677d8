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
            algorithm is written [Sennrich 2016]; otherwise one occurrence at a time, as the
            `tokenizers` library does it.
    """

    def __init__(
        self, merges: Mapping[tuple[int, int], tuple[int, int]], *, at_once: bool = False
    ) -> None:
        self._base = 1 + max((i for pair in merges for i in pair), default=0)
        keys = np.array([a * self._base + b for a, b in merges], np.int64)
        order = np.argsort(keys)
        values = np.array(list(merges.values()), np.int32).reshape(-1, 2)[order]
        # A key above all others, so that a search always ends inside the table.
        self._keys = np.append(keys[order], np.iinfo(np.int64).max)
        self._ranks = np.append(values[:, 0], _NEVER).astype(np.int32)
        self._merged = np.append(values[:, 1], 0).astype(np.int32)
        together = np.ones(len(order), bool) if at_once else _harmless(merges)[order]
        self._together = np.append(together, True)

    def __call__(self, words: Any) -> Any:
        """Returns the merged symbols of ragged int32 `words [W, L]`."""
        import tensorflow as tf

        count = words.nrows()
        tables = (self._keys, self._ranks, self._merged, self._together)
        keys, ranks, merged, together = map(tf.constant, tables)

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
            # In a run such as a a a a, every other pair.
            before = tf.concat([tf.zeros_like(chosen[:1]), chosen[:-1]], axis=0)
            starts = chosen & ~before
            run = tf.maximum(tf.cumsum(tf.cast(starts, tf.int32)) - 1, 0)
            start = tf.concat([tf.boolean_mask(position, starts), [0]], axis=0)
            every_other = tf.equal((position - tf.gather(start, run)) % 2, 0)
            first = tf.math.unsorted_segment_min(tf.where(chosen, position, _NEVER), row, count)
            alone = tf.equal(position, tf.gather(first, row))
            chosen = chosen & tf.where(tf.gather(together, places), every_other, alone)
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


def _harmless(merges: Mapping[tuple[int, int], tuple[int, int]]) -> Any:
    """Returns for each merge whether all its occurrences can be merged at once, bool `[M]`.

    Merging one makes pairs with the merged symbol. Where none of these has a lower rank, they wait
    until every other occurrence is merged.
    """
    lowest: dict[int, int] = {}
    for pair, (rank, _) in merges.items():
        for symbol in pair:
            lowest[symbol] = min(rank, lowest.get(symbol, _NEVER))
    values = [rank < lowest.get(merged, _NEVER) for rank, merged in merges.values()]
    return np.array(values, bool)
