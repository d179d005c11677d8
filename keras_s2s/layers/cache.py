"""Self-attention caches of fixed capacity `[R, H, C, D]`, written one position a step.

The one place that asks which backend runs: each has its own way of changing one slice of
an array without copying the rest.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def empty(rows: Any, num_heads: int, capacity: int, head_dim: int, dtype: str) -> Any:
    """A cache of zeros `[R, H, C, D]`."""
    return ops.zeros((rows, num_heads, capacity, head_dim), dtype=dtype)


def write(cache: Any, value: Any, index: Any) -> Any:
    """Put `value [R, H, 1, D]` at position `index` of `cache [R, H, C, D]`.

    The result replaces the argument: PyTorch changes it in place.
    """
    backend = keras.backend.backend()
    if backend == "torch":
        cache[:, :, index : index + 1] = value
        return cache
    if backend == "tensorflow":
        # keras.ops.slice_update would leave an XlaDynamicUpdateSlice in an exported graph,
        # which a stock model server does not know; a scatter is a plain TensorFlow op.
        import tensorflow as tf

        shape = tf.shape(cache)
        rows = shape[0] * shape[1]
        flat = tf.reshape(cache, [rows, shape[2], cache.shape[3]])
        where = tf.stack([tf.range(rows), tf.fill([rows], tf.cast(index, tf.int32))], axis=1)
        flat = tf.tensor_scatter_nd_update(flat, where, tf.reshape(value, [rows, cache.shape[3]]))
        return tf.ensure_shape(tf.reshape(flat, shape), cache.shape)
    return ops.slice_update(cache, [0, 0, index, 0], ops.cast(value, cache.dtype))


def filled(cache: Any, index: Any) -> Any:
    """The part of `cache` that attention at step `index` needs to read.

    PyTorch slices off the filled positions (a view, free of charge). Compiled backends need
    one shape for every step and read it all, under `filled_mask`.
    """
    if keras.backend.backend() == "torch":
        return cache[:, :, : index + 1]
    return cache


def filled_mask(cache: Any, index: Any) -> Any | None:
    """Mask `[1, 1, 1, C]` of the filled positions at step `index`; None where nothing is left."""
    if keras.backend.backend() == "torch":
        return None
    positions = ops.arange(cache.shape[2], dtype="int32")
    return (positions <= ops.cast(index, "int32"))[None, None, None]


def grow(cache: Any, capacity: int) -> Any:
    """Extend `cache [R, H, C, D]` by empty positions to `capacity`; a smaller one is an error."""
    missing = capacity - cache.shape[2]
    if missing < 0:
        raise ValueError(f"a cache of capacity {cache.shape[2]} cannot shrink to {capacity}")
    return ops.pad(cache, ((0, 0), (0, 0), (0, missing), (0, 0)))
