"""Base class of readers of tensor files: names, shapes and types, and one tensor at a time."""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.config.file_errors import unreadable
from keras_s2s.config.git_pointers import is_pointer, pointer_message

#: The library whose names and layouts a file has.
Layout = Literal["torch", "tensorflow", "flax"]

# A closed set: a name from a file is never passed to numpy.dtype, which accepts far more than
# names of types. ml_dtypes has those that NumPy lacks.
_NUMPY_TYPES = frozenset(
    f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)
) - {"float8"} | {"bool"}
_ML_TYPES = frozenset({"bfloat16", "float8_e4m3fn", "float8_e5m2"})


class TensorSpec(NamedTuple):
    """Shape and type of a tensor.

    Attributes:
        shape: its axes.
        dtype: NumPy's or ml_dtypes' name, such as `float32` or `bfloat16`.
    """

    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        return math.prod(self.shape) * numpy_dtype(self.dtype).itemsize


class TensorFile(abc.ABC):
    """Base class of open files of named tensors, by the names that the file itself uses.

    Attributes:
        path: the file.
        layout: the library the library whose names and layouts it has.
        specs: every tensor in it; known without reading any values.
    """

    path: Path
    layout: Layout
    specs: dict[str, TensorSpec]

    @abc.abstractmethod
    def read(self, name: str) -> np.ndarray:
        """Reads a tensor, as it is stored.

        Raises:
            CheckpointError: the file is shorter than it was when it was opened.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Closes the file; closing twice is allowed."""


# --------------------------------------------------------------------------------------
# Functions that readers share
# --------------------------------------------------------------------------------------


def is_known_dtype(name: str) -> bool:
    """Returns whether `numpy_dtype` knows a type."""
    return name in _NUMPY_TYPES or name in _ML_TYPES


def numpy_dtype(name: str) -> np.dtype:
    """Returns the NumPy type of a `TensorSpec`.

    Raises:
        KeyError: no such type; `is_known_dtype` tells before.
    """
    if name in _NUMPY_TYPES:
        return np.dtype(name)
    if name in _ML_TYPES:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    raise KeyError(name)


def broken(path: Path, what: str, remedy: str | None = None) -> CheckpointError:
    """Returns the error for a file whose content is not what its name says."""
    remedy = remedy or "fetch it again: it is truncated or damaged"
    return CheckpointError(f"{path}: {what}; {remedy}")


def refuse_pointer(path: Path) -> None:
    """Raises an error for a file of git LFS that only points to the real one, or one that may not
    be opened.

    Raises:
        CheckpointError: `path` is such a pointer, a folder, or not for this user to read.
    """
    try:
        with path.open("rb"):
            pass
    except (PermissionError, IsADirectoryError) as error:
        raise CheckpointError(unreadable(path, error)) from None
    except OSError:
        pass  # the reader says that it is missing
    if is_pointer(path):
        raise CheckpointError(pointer_message(path))


def open_bytes(path: Path) -> IO[bytes]:
    """Opens a file for reads at given offsets."""
    # Unbuffered: tensors are large and read whole, and headers are few.
    return path.open("rb", buffering=0)


def read_array(
    file: IO[bytes], path: Path, name: str, *, offset: int, spec: TensorSpec
) -> np.ndarray:
    """Reads a tensor whose values are stored contiguously, row by row.

    Values are read, not mapped: mapped pages count as the process's memory until the file is
    closed, so that a whole checkpoint would be held twice.
    """
    flat = np.empty(spec.nbytes, np.uint8)
    read_into(file, path, name, offset=offset, out=flat)
    return flat.view(numpy_dtype(spec.dtype)).reshape(spec.shape)


def read_into(file: IO[bytes], path: Path, name: str, *, offset: int, out: np.ndarray) -> None:
    """Fills `out` (bytes, one axis) with the file's bytes from `offset` on."""
    file.seek(offset)
    view, done = out.data, 0
    while done < len(view):
        # An unbuffered read may give less than was asked for: at most 2 GiB on Linux.
        count = file.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise broken(path, f"ends within the tensor {name}")
        done += count


@contextmanager
def closing_on_error(file: TensorFile | IO[bytes]) -> Iterator[None]:
    """Closes `file` if the block raises, since no other code has it yet."""
    try:
        yield
    except BaseException:
        file.close()
        raise


__all__ = [
    "Layout",
    "TensorFile",
    "TensorSpec",
    "broken",
    "closing_on_error",
    "is_known_dtype",
    "numpy_dtype",
    "open_bytes",
    "read_array",
    "read_into",
    "refuse_pointer",
]
