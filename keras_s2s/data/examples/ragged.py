"""Rows of token ids or feature vectors of any length, kept compactly."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np

from keras_s2s.layers.contracts import SourceInput


class RaggedIds:
    """Rows of ids, stored in one flat array.

    Example:
        >>> rows = RaggedIds()
        >>> rows.append([5, 6, 1])
        >>> rows[0]
        array([5, 6, 1], dtype=int32)
    """

    def __init__(self) -> None:
        self._values = array("i")
        self._ends = array("q", [0])

    def append(self, ids: Sequence[int]) -> None:
        """Adds a row.

        Raises:
            TypeError, OverflowError: an element is not an int32.
        """
        self._values.extend(ids)
        self._ends.append(len(self._values))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        """Returns the ids of a row, int32 `[length]`."""
        begin, end = self._ends[row], self._ends[row + 1]
        return np.array(self._values[begin:end], dtype="int32")

    @property
    def lengths(self) -> np.ndarray:
        """Length of each row, int64 `[rows]`."""
        return np.diff(np.array(self._ends, dtype="int64"))

    @property
    def largest(self) -> int:
        """The largest id of all rows; -1 where there is none."""
        return int(np.frombuffer(self._values, "int32").max()) if len(self._values) else -1


class RaggedArrays:
    """Rows of arrays `[length, ...]`: sources that are no ids.

    Args:
        source: the input that they are for: its dtype, and the shape of a position.

    Example:
        >>> rows = RaggedArrays(SourceInput("encoder_features", "float32", (2,)))
        >>> rows.append(np.zeros((3, 2)))
        >>> rows[0].shape
        (3, 2)
    """

    #: No row holds an id.
    largest = -1

    def __init__(self, source: SourceInput) -> None:
        self.source = source
        self._rows: list[np.ndarray] = []

    def append(self, row: np.ndarray) -> None:
        """Adds a row."""
        self._rows.append(np.asarray(row, self.source.dtype))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> np.ndarray:
        """Returns a row, `[length, ...]`."""
        return self._rows[row]

    @property
    def lengths(self) -> np.ndarray:
        """Length of each row, int64 `[rows]`."""
        return np.array([len(row) for row in self._rows], dtype="int64")


def padding_mask(rows: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Returns the mask, bool `[B, length]`, that is True on each row's own positions."""
    lengths = np.array([len(ids) for ids in rows])
    return np.arange(length)[None, :] < lengths[:, None]
