"""Entries of each row, chosen by their places, put there, or added up there."""

from __future__ import annotations

import keras
from keras import ops

from keras_s2s.layers.kernels.readable_values import is_number
from keras_s2s.typing import Tensor


def gather(values: Tensor, places: Tensor) -> Tensor:
    """Takes the entries at `places` from each row of `values`.

    Args:
        values: tensor `[B, N, ...]`.
        places: int tensor `[B, M]`, between 0 and N - 1; others are not checked, and mean something
            else on each backend.

    Returns:
        Tensor `[B, M, ...]` of the dtype of `values`.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # One operation; `take_along_axis` is about 35 there, to be traced and run at each step.
        return tf.gather(values, places, axis=1, batch_dims=1)
    more = [1] * (len(values.shape) - 2)
    if keras.backend.backend() == "torch":
        import torch

        # As below; but it is called a dozen times a step, and what Keras looks at takes longer
        # than the operation itself.
        return torch.take_along_dim(values, places.view(*places.shape, *more).long(), 1)
    places = ops.reshape(places, (*ops.shape(places), *more))
    return ops.take_along_axis(values, places, axis=1)


def scattered(values: Tensor, places: Tensor, size: int) -> Tensor:
    """Adds up the entries of each row of `values [R, N]` by their places, int `[R, N]` below
    `size`: `[R, size]`.
    """
    shape = ops.shape(places)
    if keras.backend.backend() == "torch":
        # One operation; `keras.ops.scatter` adds entry by entry in Python there.
        sums = ops.zeros((shape[0], size), dtype=values.dtype)
        return sums.scatter_add_(1, ops.cast(places, "int64"), values)
    rows = ops.broadcast_to(ops.arange(shape[0], dtype="int32")[:, None], shape)
    places = ops.reshape(rows * size + places, (-1, 1))
    sums = ops.scatter(places, ops.reshape(values, (-1,)), (shape[0] * size,))
    return ops.reshape(sums, (-1, size))


def entry(values: Tensor, place: Tensor) -> Tensor:
    """Takes one entry from each row of `values [R, N]`: `[R]`.

    Args:
        values: tensor `[R, N]`.
        place: the place in all rows, a scalar; or that in each, int32 `[R]`.
    """
    if len(ops.shape(place)):
        return gather(values, place[:, None])[:, 0]
    return ops.take(values, place, axis=1)


def put(buffer: Tensor, value: Tensor, index: Tensor) -> Tensor:
    """Returns `buffer [..., C]` with `value [...]`, of just that shape, at position `index` of its
    last axis, below C; unchanged where `index` is -1.
    """
    if is_number(index) and index >= 0:
        # One operation: PyTorch runs each by itself.
        return buffer.select_scatter(value.to(buffer.dtype), -1, index)
    positions = ops.arange(ops.shape(buffer)[-1], dtype="int32")
    here = ops.equal(positions, ops.cast(index, "int32"))
    return ops.where(here, ops.cast(value, buffer.dtype)[..., None], buffer)


def put_span(buffer: Tensor, values: Tensor, starts: Tensor, counts: Tensor) -> Tensor:
    """Returns `buffer [B, C]` with the first `counts [B]` of `values [B, T]` from the places
    `starts [B]` on.
    """
    if values.shape[1] == 0:
        return buffer
    there = ops.arange(ops.shape(buffer)[1], dtype="int32")[None] - starts[:, None]  # [B, C]
    found = gather(values, ops.clip(there, 0, ops.shape(values)[1] - 1))
    new = ops.logical_and(there >= 0, there < counts[:, None])
    return ops.where(new, ops.cast(found, buffer.dtype), buffer)
