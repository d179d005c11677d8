"""Reads NumPy's `.npz`, a ZIP archive of arrays; those of objects (pickles) are refused."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.tensor_file import (
    TensorFile,
    TensorSpec,
    broken,
    closing_on_error,
    is_known_dtype,
    refuse_pointer,
)

_END = ".npy"
#: What damaged or encrypted archives raise, and those of versions that Python lacks.
_DAMAGED = (
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


class NpzFile(TensorFile):
    """An open `.npz` file; arrays are read one by one.

    Args:
        path: the file.

    Raises:
        CheckpointError: it is damaged, or holds more than arrays of numbers.
    """

    layout = "torch"

    def __init__(self, path: Path) -> None:
        self.path = path
        refuse_pointer(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except _DAMAGED as error:
            raise broken(path, f"not a .npz file ({error})") from None
        with closing_on_error(self):
            self.specs = dict(self._spec(entry) for entry in self._archive.infolist())

    def read(self, name: str) -> np.ndarray:
        """Reads an array, as it is stored."""
        try:
            with self._archive.open(name + _END) as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        except _DAMAGED as error:
            raise broken(self.path, f"the array {name} cannot be read ({error})") from None

    def close(self) -> None:
        """Closes the file."""
        self._archive.close()

    def _spec(self, entry: zipfile.ZipInfo) -> tuple[str, TensorSpec]:
        name = entry.filename.removesuffix(_END)
        try:
            with self._archive.open(entry) as file:
                version = np.lib.format.read_magic(file)
                reader = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }[version]
                shape, _, dtype = reader(file)
                header = file.tell()
        except (KeyError, *_DAMAGED) as error:
            raise broken(
                self.path, f"{entry.filename} is not an array of NumPy ({error})"
            ) from None
        if dtype.hasobject or not is_known_dtype(dtype.name):
            raise CheckpointError(
                f"{self.path}: the array {name} is of the type {dtype}, which is not read (objects "
                "are pickles, which could run code); save arrays of numbers alone"
            )
        spec = TensorSpec(tuple(int(size) for size in shape), dtype.name)
        if entry.file_size != header + spec.nbytes:
            raise broken(self.path, f"the array {name} has not as many bytes as its shape")
        return name, spec


__all__ = ["NpzFile"]
