"""Reads and writes Marian's `.bin`: headers, names, shapes, and values at multiples of 256 bytes.

    u64 version, u64 count
    for each tensor: u64 name length (with a NUL), u64 type, u64 axes, u64 bytes of data
    the names; the shapes, int32 each; u64 bytes of padding, and the padding
    the data of each tensor

Matrices of int8 (intgemm) are read as float32. They hold `round(weight * multiplier)`, and behind
them float32 the multiplier. Matrices of weights lie transposed, the token table does not.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.tensor_file import (
    TensorFile,
    TensorSpec,
    broken,
    closing_on_error,
    open_bytes,
    read_into,
    refuse_pointer,
)

VERSION = 1
#: A tensor's name, type, number of axes and bytes of data.
_HEADER = struct.Struct("<QQQQ")
_COUNT = struct.Struct("<Q")
#: Where the values of tensors begin: at multiples of this.
ALIGNMENT = 256
#: More axes than any array of NumPy may have are no shape.
_MOST_AXES = 8
#: No model has as many tensors.
_MOST = 1 << 16

#: Marian's numbers of types: a class of types plus the bytes of a value.
TYPES = {
    0x101: "int8",
    0x102: "int16",
    0x104: "int32",
    0x108: "int64",
    0x201: "uint8",
    0x202: "uint16",
    0x204: "uint32",
    0x208: "uint64",
    0x402: "float16",
    0x404: "float32",
    0x408: "float64",
}
NUMBERS = {name: number for number, name in TYPES.items()}
#: int8 with a multiplier: as Marian writes it now, and as browsermt's fork and Firefox do.
INTGEMM8 = (0x10001, 0x4101)
#: int16 with a multiplier.
INTGEMM16 = (0x10002, 0x4102)
#: Multiplier of a tensor of int8.
_MULTIPLIER = struct.Struct("<f")


class _Stored(NamedTuple):
    """Where a tensor's values are.

    Attributes:
        offset: of the first byte.
        shape: of the values.
        dtype: of the values as they are stored.
        quantised: whether a multiplier follows them.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: str
    quantised: bool


class MarianBinFile(TensorFile):
    """An open `.bin` file of Marian; tensors are read one by one, int8 ones as float32.

    Args:
        path: the file.

    Raises:
        CheckpointError: it is damaged, or holds types that depend on a processor.
    """

    layout = "torch"

    def __init__(self, path: Path) -> None:
        self.path = path
        refuse_pointer(path)
        self._size = path.stat().st_size
        self._file = open_bytes(path)
        with closing_on_error(self._file):
            self._stored = self._read_headers()
        self.specs = {
            name: TensorSpec(each.shape, "float32" if each.quantised else each.dtype)
            for name, each in self._stored.items()
        }

    def read(self, name: str) -> np.ndarray:
        """Reads a tensor; those of int8 are multiplied back to float32."""
        each = self._stored[name]
        dtype = np.dtype(each.dtype)
        flat = np.empty(math.prod(each.shape) * dtype.itemsize, np.uint8)
        read_into(self._file, self.path, name, offset=each.offset, out=flat)
        values = flat.view(dtype)
        if not each.quantised:
            return values.reshape(each.shape)
        last = np.empty(_MULTIPLIER.size, np.uint8)
        read_into(self._file, self.path, name, offset=each.offset + flat.nbytes, out=last)
        (multiplier,) = _MULTIPLIER.unpack(last.tobytes())
        if not math.isfinite(multiplier) or multiplier == 0:
            raise broken(self.path, f"the multiplier of {name} is {multiplier}")
        weights = values.astype(np.float32) / np.float32(multiplier)
        if lies_transposed(name):
            return np.ascontiguousarray(weights.reshape(each.shape[::-1]).T)
        return weights.reshape(each.shape)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    # ------------------------------------------------------------------ headers

    def _read_headers(self) -> dict[str, _Stored]:
        version, count = self._unpack(_COUNT, 0)[0], self._unpack(_COUNT, _COUNT.size)[0]
        if version != VERSION:
            raise CheckpointError(
                f"{self.path}: not a .bin file of Marian, or of a version that is not read: it "
                f"begins with {version}, expected {VERSION}"
            )
        place = 2 * _COUNT.size
        if count > (self._size - place) // _HEADER.size:
            raise broken(self.path, f"byte {_COUNT.size}: {count} tensors do not fit into the file")
        content = self._bytes(place, count * _HEADER.size, "the headers")
        headers = list(_HEADER.iter_unpack(content))
        place += len(content)
        names: list[str] = []
        for number, (length, *_) in enumerate(headers):
            written = self._bytes(place, length, f"the name of tensor {number}")
            names.append(self._name(written, place))
            place += length
        shapes = []
        for name, (_, _, axes, _) in zip(names, headers, strict=True):
            if axes > _MOST_AXES:
                raise broken(self.path, f"byte {place}: {name} has {axes} axes")
            content = self._bytes(place, 4 * axes, f"the shape of {name}")
            shape = struct.unpack(f"<{axes}i", content)
            if any(size < 0 for size in shape):
                raise broken(self.path, f"byte {place}: {name} has the shape {shape}")
            place += 4 * axes
            shapes.append(shape)
        padding = self._unpack(_COUNT, place)[0]
        place += _COUNT.size + padding
        found: dict[str, _Stored] = {}
        for name, shape, (_, number, _, nbytes) in zip(names, shapes, headers, strict=True):
            if name in found:
                raise broken(self.path, f"the tensor {name} occurs twice")
            if place + nbytes > self._size:
                raise broken(
                    self.path,
                    f"the data of {name}, {nbytes} bytes from byte {place} on, go beyond the "
                    f"file's {self._size}",
                )
            found[name] = self._located(name, place, shape, number, nbytes)
            place += nbytes
        return found

    def _located(
        self, name: str, offset: int, shape: tuple[int, ...], number: int, nbytes: int
    ) -> _Stored:
        quantised = number in (*INTGEMM8, *INTGEMM16)
        if quantised:
            dtype = "int8" if number in INTGEMM8 else "int16"
        elif number in TYPES:
            dtype = TYPES[number]
        else:
            raise CheckpointError(
                f"{self.path}: {name} has the type {number:#x}, which is not read: packed for one "
                "kind of processor, or unknown; convert the .npz with --gemm-type float32 or "
                "intgemm8"
            )
        if quantised and len(shape) != 2:
            raise broken(self.path, f"{name} is quantised, but no matrix: {shape}")
        needed = math.prod(shape) * np.dtype(dtype).itemsize
        needed += _MULTIPLIER.size if quantised else 0
        if needed > nbytes:
            raise broken(self.path, f"{name} {shape} has {nbytes} bytes of data, not {needed}")
        return _Stored(offset, shape, dtype, quantised)

    def _name(self, content: bytes, place: int) -> str:
        try:
            name = content.decode("utf-8")
        except UnicodeDecodeError:
            name = ""
        if not name.endswith("\0") or "\0" in name[:-1] or len(name) == 1:
            raise broken(self.path, f"byte {place}: {content[:40]!r} is no name of a tensor")
        return name[:-1]

    def _unpack(self, form: struct.Struct, offset: int) -> tuple[int, ...]:
        return form.unpack(self._bytes(offset, form.size, "a number"))

    def _bytes(self, offset: int, count: int, what: str) -> bytes:
        """Reads bytes that the file must have."""
        if offset + count > self._size:
            raise broken(
                self.path,
                f"{what}, {count} bytes from byte {offset} on, go beyond the file's {self._size}",
            )
        out = np.empty(count, np.uint8)
        if count:
            read_into(self._file, self.path, what, offset=offset, out=out)
        return out.tobytes()


def lies_transposed(name: str) -> bool:
    """Returns whether a quantised matrix lies transposed: all but the tables of tokens."""
    return "Wemb" not in name


def is_marian_bin(path: Path) -> bool:
    """Returns whether a file begins as Marian's `.bin` do."""
    try:
        with path.open("rb") as file:
            start = file.read(2 * _COUNT.size)
    except OSError:
        return False
    if start[: _COUNT.size] != _COUNT.pack(VERSION):
        return False
    # One that was cut off is one, too: its reader reports it.
    return len(start) < 2 * _COUNT.size or 0 < _COUNT.unpack_from(start, _COUNT.size)[0] < _MOST


def write_marian_bin(file: IO[bytes], tensors: Mapping[str, np.ndarray]) -> None:
    """Writes tensors of numbers as Marian's `.bin`.

    Args:
        file: an open file.
        tensors: by name; matrices and rows of float32, and the settings.
    """
    names = [name.encode() + b"\0" for name in tensors]
    sizes = [array.nbytes + -array.nbytes % ALIGNMENT for array in tensors.values()]
    content = _COUNT.pack(VERSION) + _COUNT.pack(len(tensors))
    for name, array, nbytes in zip(names, tensors.values(), sizes, strict=True):
        content += _HEADER.pack(len(name), NUMBERS[array.dtype.name], array.ndim, nbytes)
    content += b"".join(names)
    for array in tensors.values():
        content += struct.pack(f"<{array.ndim}i", *array.shape)
    padding = -(len(content) + _COUNT.size) % ALIGNMENT or ALIGNMENT
    file.write(content + _COUNT.pack(padding) + b"\0" * padding)
    for array, nbytes in zip(tensors.values(), sizes, strict=True):
        file.write(np.ascontiguousarray(array).tobytes().ljust(nbytes, b"\0"))


__all__ = ["MarianBinFile", "is_marian_bin", "lies_transposed", "write_marian_bin"]
