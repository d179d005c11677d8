"""Self-attention caches `[R, H, C, D]`, and the table of each hypothesis' ancestors.

The K rows of a source share their R/B = K rows of a cache: its memory is read as `[B, H, C, K, D]`,
for each position the slots of the K hypotheses side by side, and a step writes one position of all.
When beam search moves hypotheses between rows, the caches are not moved, but a table of ancestors,
`[R, C]`: in which row's slot each row finds its position c. Attention then reads the slots of all K
under a mask. So no cache has to be copied at a step.

The one place that asks which backend runs: each has its own way of changing one slice of an
array without copying the rest.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
from keras import ops

from keras_s2s.layers.kernels.readable_values import is_number, readable
from keras_s2s.typing import Tensor


class Spans(NamedTuple):
    """The positions of a step that takes several of each row, in the place of one `index`; each
    source has one row.

    Attributes:
        places: int32 `[B, T]`, the positions, side by side.
        reach: N, how many positions of the caches are read.
    """

    places: Tensor
    reach: Tensor

    @classmethod
    def of(cls, starts: Tensor, count: Tensor, capacity: Tensor) -> Spans:
        """Returns the `count` positions from `starts [B]` on, in caches of a capacity.

        PyTorch reads what is filled; to know it costs nothing on the CPU, and would stall a GPU.
        """
        starts = ops.cast(starts, "int32")
        places = starts[:, None] + ops.arange(count, dtype="int32")
        if readable(starts):
            capacity = int(starts.max()) + count
        return cls(places, capacity)


def empty(rows: Tensor, num_heads: int, capacity: Tensor, head_dim: int, dtype: str) -> Tensor:
    """Returns a cache of zeros `[R, H, C, D]`."""
    return ops.zeros((rows, num_heads, capacity, head_dim), dtype=dtype)


def settled(values: Tensor) -> Tensor:
    """Lays out `values` in memory in the order of their axes, since every step reads them.

    Compiled backends lay out what they keep themselves.
    """
    return values.contiguous() if keras.backend.backend() == "torch" else values


def by_source(cache: Tensor, sources: Tensor) -> Tensor:
    """Reshapes `cache [R, H, C, D]` to the order in which attention reads it: `[B, H, C, K, D]`."""
    rows, heads, capacity, dim = ops.shape(cache)
    return ops.reshape(cache, (sources, heads, capacity, rows // sources, dim))


def by_row(slots: Tensor) -> Tensor:
    """Undoes `by_source`."""
    sources, heads, capacity, beams, dim = ops.shape(slots)
    return ops.reshape(slots, (sources * beams, heads, capacity, dim))


def write(cache: Tensor, value: Tensor, index: Tensor) -> Tensor:
    """Puts `value [B, H, K, D]` at position `index` of `cache [R, H, C, D]`.

    The result replaces the argument: PyTorch changes it in place.
    """
    if isinstance(index, Spans):
        return _write_spans(cache, value, index.places)
    backend = keras.backend.backend()
    if backend == "torch":
        sources, heads, beams, dim = value.shape
        lines = cache.view(sources, heads, -1, beams, dim)
        if is_number(index):
            lines[:, :, index] = value
        else:
            place = ops.reshape(ops.cast(index, "int64"), (1,))
            lines.index_copy_(2, place, value[:, :, None])
        return cache
    if backend == "tensorflow":
        # keras.ops.slice_update would leave an XlaDynamicUpdateSlice in an exported graph,
        # which a stock model server does not know; a scatter is a plain TensorFlow op.
        import tensorflow as tf

        shape, size = tf.shape(value), tf.shape(cache)
        lines, width = shape[0] * shape[1], shape[2] * shape[3]
        flat = tf.reshape(cache, [lines, size[2], width])
        where = tf.stack([tf.range(lines), tf.fill([lines], tf.cast(index, tf.int32))], axis=1)
        flat = tf.tensor_scatter_nd_update(flat, where, tf.reshape(value, [lines, width]))
        return tf.ensure_shape(tf.reshape(flat, size), cache.shape)
    # Written in the very shape in which `slots` reads: from any other XLA makes the update once
    # for each reader, and copies the whole cache for that.
    sources, heads, beams, dim = value.shape
    lines = ops.reshape(cache, (sources, heads, -1, dim))
    value = ops.cast(value, cache.dtype)
    return ops.reshape(ops.slice_update(lines, [0, 0, index * beams, 0], value), cache.shape)


def _write_spans(cache: Tensor, value: Tensor, places: Tensor) -> Tensor:
    """Puts `value [B, H, T, D]` at positions of each source's own, `places [B, T]`, of `cache [B,
    H, C, D]`.
    """
    backend = keras.backend.backend()
    if backend == "torch":
        cache.scatter_(2, places[:, None, :, None].expand(value.shape).long(), value)
        return cache
    if backend == "tensorflow":
        import tensorflow as tf

        shape, size = tf.shape(value), tf.shape(cache)
        lines = shape[0] * shape[1]
        there = tf.repeat(places, shape[1], axis=0)  # [B*H, T]
        here = tf.broadcast_to(tf.range(lines)[:, None], tf.shape(there))
        flat = tf.reshape(cache, [lines, size[2], size[3]])
        value = tf.reshape(value, [lines, shape[2], shape[3]])
        flat = tf.tensor_scatter_nd_update(flat, tf.stack([here, there], axis=-1), value)
        return tf.ensure_shape(tf.reshape(flat, size), cache.shape)
    import jax

    value = ops.cast(value, cache.dtype)

    def put(line: Tensor, new: Tensor, start: Tensor) -> Tensor:
        return jax.lax.dynamic_update_slice(line, new, (0, start, 0))

    return jax.vmap(put)(cache, value, places[:, 0])


def is_first(index: Tensor) -> Tensor:
    """Returns whether a step is at the first position; broadcastable to `[B, T, D]` of `Spans`."""
    return index.places[..., None] == 0 if isinstance(index, Spans) else index == 0


def places_read(capacity: Tensor, index: Tensor) -> Tensor:
    """Returns how many of the C positions `slots` reads at step `index`."""
    return int(index) + 1 if is_number(index) else capacity


def slots(cache: Tensor, sources: Tensor, index: Tensor) -> Tensor:
    """Returns the slots that attention at step `index` reads, position by position: `[B, H, N, D]`.

    PyTorch slices off the filled positions, N = (index + 1) * K, a view without cost.
    Compiled and recorded programs need one shape for every step and read all N = C * K, under
    `visible`.
    """
    if isinstance(index, Spans):
        return cache[:, :, : index.reach]
    if is_number(index):
        rows, heads, _, dim = cache.shape
        beams = rows // sources
        return cache.view(sources, heads, -1, dim)[:, :, : (index + 1) * beams]
    rows, heads, capacity, dim = ops.shape(cache)
    return ops.reshape(cache, (sources, heads, capacity * (rows // sources), dim))


def visible(
    ancestors: Tensor | None, capacity: Tensor, sources: Tensor, index: Tensor
) -> Tensor | None:
    """Returns the mask of `slots` at step `index`: bool, broadcastable to `[B, H, K, N]`; None
    where all are visible.

    Args:
        ancestors: int32 `[R, C]`; None where each source has one row.
        capacity: C, the number of steps to hold.
    """
    if is_number(index):
        if ancestors is None:
            return None
        beams = ancestors.shape[0] // sources
        numbers = ops.arange(beams, dtype="int32")
        mine = ancestors[:, : index + 1, None] == numbers  # [R, index + 1, K]
        return mine.view(sources, 1, beams, -1)
    filled = ops.arange(capacity, dtype="int32") <= ops.cast(index, "int32")
    if ancestors is None:
        return filled[None, None, None]
    beams = ops.shape(ancestors)[0] // sources
    mine = ancestors[..., None] == ops.arange(beams, dtype="int32")  # [R, C, K]
    mine = ops.logical_and(mine, filled[:, None])
    return ops.reshape(mine, (sources, 1, beams, capacity * beams))


def visible_in(spans: Spans) -> Tensor:
    """Returns the mask of `slots` of several positions: bool `[B, 1, T, N]`."""
    filled = ops.arange(spans.reach, dtype="int32") <= spans.places[..., None]
    return filled[:, None]


def own_slots(ancestors: Tensor, sources: Tensor, index: Tensor) -> Tensor:
    """Returns `ancestors [R, C]` after a step has been written: position `index` is each row's
    own.
    """
    rows = ops.shape(ancestors)[0]
    own = ops.arange(rows, dtype="int32") % (rows // sources)
    if is_number(index):
        ancestors[:, index] = own
        return ancestors
    here = ops.arange(ops.shape(ancestors)[1], dtype="int32") == ops.cast(index, "int32")
    return ops.where(here[None], own[:, None], ancestors)


def all_own(sources: Tensor, beams: Tensor, capacity: Tensor) -> Tensor:
    """Returns the ancestors of rows that have all positions in their own slots: int32 `[R, C]`."""
    own = ops.arange(sources * beams, dtype="int32") % beams
    return ops.broadcast_to(own[:, None], (sources * beams, capacity)) + 0


def spread(cache: Tensor, num_beams: int) -> Tensor:
    """Copies each source's one hypothesis into K slots: `[B, H, C, D]` -> `[B*K, H, C, D]`."""
    return by_row(ops.concatenate([ops.expand_dims(cache, 3)] * num_beams, axis=3))


def histories(cache: Tensor, ancestors: Tensor | None, sources: Tensor) -> Tensor:
    """Gathers the history of each row from the slots of its ancestors: `[R, H, C, D]`."""
    if ancestors is None:
        return cache
    found = ops.transpose(by_source(cache, sources), (0, 3, 1, 2, 4))  # [B, K, H, C, D]
    beams, capacity = found.shape[1], found.shape[3]
    places = ops.reshape(ancestors, (sources, beams, 1, capacity, 1))
    found = ops.take_along_axis(found, places, axis=1)
    return ops.reshape(found, (-1, *found.shape[2:]))


def of_histories(rows: Tensor, sources: int) -> Tensor:
    """Undoes `histories`, for rows that have all positions in their own slots."""
    rows = ops.reshape(rows, (sources, -1, *rows.shape[1:]))  # [B, K, H, C, D]
    return by_row(ops.transpose(rows, (0, 2, 3, 1, 4)))


def select(values: Tensor, sources: Tensor, kept: Tensor) -> Tensor:
    """Returns the rows of the sources `kept [B']`: `[R, ...]` -> `[R', ...]`."""
    shape = ops.shape(values)
    values = ops.reshape(values, (sources, -1, *shape[1:]))
    return ops.reshape(ops.take(values, kept, axis=0), (-1, *shape[1:]))


def grow(cache: Tensor, capacity: Tensor, sources: Tensor) -> Tensor:
    """Extends `cache [R, H, C, D]` by empty positions to `capacity`.

    Raises:
        ValueError: `capacity` is less than there is.
    """
    used = by_source(cache, sources)
    shape = ops.shape(used)
    if isinstance(shape[2], int) and isinstance(capacity, int) and capacity < shape[2]:
        raise ValueError(f"a cache of capacity {shape[2]} cannot shrink to {capacity}")
    room = ops.zeros((*shape[:2], capacity - shape[2], *shape[3:]), dtype=cache.dtype)
    return by_row(ops.concatenate([used, room], axis=2))


def grow_ancestors(ancestors: Tensor, capacity: Tensor) -> Tensor:
    """Extends `ancestors [R, C]` to `capacity`."""
    rows, used = ops.shape(ancestors)
    return ops.concatenate([ancestors, ops.zeros((rows, capacity - used), dtype="int32")], axis=1)
