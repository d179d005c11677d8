"""Calls Python functions from a decoding loop, in the way of each backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s2s.typing import Tensor


def host_callback(
    function: Callable[..., np.ndarray], arguments: tuple[Any, ...], *, like: Any
) -> Tensor:
    """Calls `function` with NumPy arrays, also from compiled code.

    Args:
        function: takes one array for each argument; returns bool, shaped like `like`.
        arguments: tensors.
        like: a tensor with the shape of the result.

    Returns:
        a bool tensor.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        shape = jax.ShapeDtypeStruct(like.shape, "bool")
        return jax.pure_callback(lambda *a: function(*map(np.asarray, a)), shape, *arguments)
    if backend == "tensorflow":
        import tensorflow as tf

        # tf.numpy_function cannot be part of a SavedModel; export refuses it before.
        return tf.ensure_shape(tf.numpy_function(function, arguments, tf.bool), like.shape)
    return ops.convert_to_tensor(function(*map(ops.convert_to_numpy, arguments)))
