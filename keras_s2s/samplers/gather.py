"""Entries of each row, chosen by their places."""

from __future__ import annotations

import keras
from keras import ops

from keras_s2s.typing import Tensor


def gather(values: Tensor, places: Tensor) -> Tensor:
    """Takes the entries at `places` from each row of `values`.

    Args:
        values: tensor `[B, N, ...]`.
        places: int tensor `[B, M]`, between 0 and N - 1.

    Returns:
        Tensor `[B, M, ...]` of the dtype of `values`.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # One operation; `take_along_axis` is about 35 there, to be traced and run at each step.
        return tf.gather(values, places, axis=1, batch_dims=1)
    places = ops.reshape(places, (*ops.shape(places), *[1] * (len(values.shape) - 2)))
    return ops.take_along_axis(values, places, axis=1)
