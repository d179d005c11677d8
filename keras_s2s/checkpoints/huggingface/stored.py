"""Tensors of a checkpoint, read one at a time, whichever file they are in."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from keras_s2s.checkpoints.files.weight_files import WeightFiles


class StoredTensor(NamedTuple):
    """A tensor in a file.

    Attributes:
        name: its name there.
        file: name of the file.
        shape: of its values.
        dtype: of its values, a name.
        read: returns its values.
    """

    name: str
    file: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]


def stored_tensors(weights: WeightFiles) -> dict[str, StoredTensor]:
    """Returns all tensors of a folder by their names."""

    def reader(name: str) -> Callable[[], np.ndarray]:
        return lambda: weights.read(name)

    return {
        name: StoredTensor(
            name, weights.file_of(name).name, tuple(spec.shape), spec.dtype, reader(name)
        )
        for name, spec in weights.specs.items()
    }
