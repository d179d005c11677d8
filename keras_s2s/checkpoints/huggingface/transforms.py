"""How one tensor of ours is stored elsewhere: a closed set of invertible transforms.

Each is a pair of functions, `read` from theirs to ours and `write` back, and what it does to a
shape. Renaming is the key table's work; a tied tensor is one that the table names twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Shape = tuple[int, ...]


class Transform(NamedTuple):
    """One way of storing a tensor.

    Attributes:
        read: their array -> ours.
        write: our array -> theirs.
        shape: the shape of ours -> the shape of theirs.
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
