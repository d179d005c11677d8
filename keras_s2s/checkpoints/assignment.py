"""Filling a variable from a file's array without holding it more often than needed.

The one place here that asks which backend runs: a token table may be a quarter of a model, and
`Variable.assign` makes one or two copies of it on the way.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

#: Bytes of an array that TensorFlow is given at a time. Its other ways of changing a part of a
#: variable, or the whole, keep the old values or a second copy.
PIECE = 2**20


def assign(variable: Any, array: np.ndarray) -> None:
    """Set `variable` to `array`, of any float type and layout, in the variable's own type."""
    if array.dtype.name not in ("float32", "float64"):
        array = array.astype("float32")  # not every backend knows ml_dtypes' bfloat16
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        # Keras would copy a NumPy array first; this shares its memory.
        tensor = torch.from_numpy(array) if array.flags.writeable else torch.tensor(array)
        with torch.no_grad():
            variable.value.copy_(tensor)
    elif backend == "tensorflow" and array.nbytes > PIECE:
        import tensorflow as tf

        rows = max(1, PIECE * len(array) // array.nbytes)
        for start in range(0, len(array), rows):
            piece = tf.cast(np.ascontiguousarray(array[start : start + rows]), variable.dtype)
            places = tf.range(start, start + len(piece))
            variable.value.scatter_update(tf.IndexedSlices(piece, places))
    else:
        if backend == "jax":
            variable.value.delete()  # what it held is gone before the new values are copied
        variable.assign(np.ascontiguousarray(array))
