"""Transforms between a weight and the tensor that another library stores for it.

The transforms are a closed set. Each is a pair of functions, `read` and its inverse `write`, and
their effect on shapes. Names are mapped by the key table; a tied tensor is named there twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Shape = tuple[int, ...]


class Transform(NamedTuple):
    """An invertible way of storing a tensor.

    Attributes:
        read: the stored array -> the weight.
        write: the weight -> the stored array.
        shape: shape of the weight -> shape of the stored array.
    """

    read: Callable[[np.ndarray], np.ndarray]
    write: Callable[[np.ndarray], np.ndarray]
    shape: Callable[[Shape], Shape]


def _same(array: np.ndarray) -> np.ndarray:
    return array


#: By the name that a family's table gives them.
TRANSFORMS: dict[str, Transform] = {
    "same": Transform(_same, _same, lambda shape: shape),
    # A Dense kernel [D, N] is PyTorch's Linear weight [N, D].
    "transpose": Transform(np.transpose, np.transpose, lambda shape: shape[::-1]),
    # A vector [N] kept as a matrix of one row [1, N].
    "row": Transform(
        lambda array: array.reshape(array.shape[-1:]),
        lambda array: array.reshape(1, *array.shape),
        lambda shape: (1, *shape),
    ),
}
