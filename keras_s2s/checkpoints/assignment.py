"""Assigns arrays of a file to variables with as few copies in memory as possible.

How this is done depends on the backend: a token table may be a quarter of a model, and
`Variable.assign` makes one or two copies of it.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_s2s.checkpoints.errors import CheckpointError

#: Bytes of an array that TensorFlow is given at a time. Its other ways of changing a part of a
#: variable, or the whole, keep the old values or a second copy.
PIECE = 2**20

#: The greatest float16, and what is rounded down to it.
LARGEST_HALF = 65504 + 16


class Assignments:
    """Assigns arrays to variables, and collects the tensors whose values cannot be used.

    Args:
        origin: the file or folder, for messages.

    Example:
        >>> bias = keras.Variable(np.zeros(2, "float32"), name="bias")
        >>> fill = Assignments("model.safetensors")
        >>> fill("bias", bias, np.ones(2, "float32"))
        >>> fill.finish()
    """

    def __init__(self, origin: Any) -> None:
        self.origin = origin
        self._not_finite: list[str] = []
        self._too_large: list[str] = []

    def __call__(self, name: str, variable: Any, array: np.ndarray) -> None:
        """Assigns an array to a variable, and checks its values."""
        array = as_floats(array)
        if self.look(name, array) and variable.dtype == "float16":
            largest = np.abs(array).max(initial=0)
            if largest >= LARGEST_HALF:
                self._too_large.append(f"{name}: up to {largest:.6g}")
        assign(variable, array)

    def look(self, name: str, array: np.ndarray) -> bool:
        """Returns whether all values are finite; a tensor with others is kept for `finish`."""
        array = as_floats(array)
        if all_finite(array):
            return True
        wrong = array.size - int(np.isfinite(array).sum())
        self._not_finite.append(f"{name}: {wrong} of {array.size} values")
        return False

    def finish(self) -> None:
        """Raises an error if some tensors could not be used.

        Raises:
            CheckpointError: names those that could not.
        """
        if self._not_finite:
            raise CheckpointError(
                f"{self.origin}: {len(self._not_finite)} tensors hold values that are not finite "
                f"(NaN or infinite)\n{_listed(self._not_finite)}\n  the training that wrote them "
                "had diverged, or the file is damaged: take an earlier checkpoint, or fetch it "
                "again"
            )
        if self._too_large:
            raise CheckpointError(
                f"{self.origin}: {len(self._too_large)} tensors hold values beyond 65,504, the "
                f"most that float16 holds\n{_listed(self._too_large)}\n  load them with "
                "dtype='bfloat16' or dtype='float32'"
            )


def check_finite(origin: Any, variables: Any) -> None:
    """Raises an error if weights that were loaded by other code are not finite.

    Raises:
        CheckpointError: names those that are not.
    """
    fill = Assignments(origin)
    for variable in variables:
        if keras.backend.is_float_dtype(variable.dtype):
            fill.look(variable.path, np.asarray(keras.ops.convert_to_numpy(variable.value)))
    fill.finish()


def _listed(lines: list[str]) -> str:
    return "\n".join(f"  {line}" for line in [*lines[:20], *(["..."] if len(lines) > 20 else [])])


def all_finite(array: np.ndarray) -> bool:
    """Returns whether no value is NaN or infinite, at about the cost of reading them once."""
    with np.errstate(all="ignore"):
        # NaN and infinity show in the sum; large values alone may make it infinite, too.
        return bool(np.isfinite(array.sum())) or bool(np.isfinite(array).all())


def as_floats(array: np.ndarray) -> np.ndarray:
    """Returns `array` in a type that NumPy and every backend know."""
    # Not every backend knows ml_dtypes' bfloat16.
    return array if array.dtype.name in ("float32", "float64") else array.astype("float32")


def assign(variable: Any, array: np.ndarray) -> None:
    """Sets `variable` to `array`, of any float type and layout, in the variable's own type."""
    array = as_floats(array)
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
            variable.value.delete()  # the old values are freed before the new ones are copied
        variable.assign(np.ascontiguousarray(array))
