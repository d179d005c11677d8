"""Reads `flax_model.msgpack`, weights written by Flax classes of transformers 4, without Flax.

The file is The file is MessagePack of nested tables. An array is an extension of type 1: shape,
type name and values, packed once more. One of more than a gigabyte is a table of flat pieces. The
first pass reads the places of all values and skips the values themselves, so that an array can be
read alone later.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from keras_s2s.checkpoints.files.tensor_file import (
    TensorFile,
    TensorSpec,
    broken,
    closing_on_error,
    is_known_dtype,
    numpy_dtype,
    open_bytes,
    read_into,
)

# Extension types of flax.serialization. Type 2, a complex number, is never a weight.
_NDARRAY, _SCALAR = 1, 3
_CHUNKED = "__msgpack_chunked_array__"
# bfloat16 as NumPy calls it where it does not know it.
_DTYPE_NAMES = {"V2": "bfloat16", "|V2": "bfloat16"}

# More than any model's tree, and little enough for Python's stack.
_DEEPEST = 64
# No name or shape is longer: a damaged length must not allocate gigabytes.
_LONGEST_TEXT = 2**16


class _Blob(NamedTuple):
    """Bytes that were skipped: their offset, their number, and their extension type."""

    offset: int
    length: int
    extension: int | None


class _Array(NamedTuple):
    spec: TensorSpec
    offset: int


class MsgpackFile(TensorFile):
    """A `.msgpack` file of nested tables of arrays; names are paths, joined by `/`.

    Args:
        path: the file.

    Raises:
        CheckpointError: the file is damaged, or not a table of arrays.
    """

    layout = "flax"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_bytes(path)
        with closing_on_error(self._file):
            # A tensor's values, in pieces one after the other.
            self._pieces: dict[str, list[_Array]] = {}
            self.specs: dict[str, TensorSpec] = {}
            # Buffered, for the many small reads of the first pass.
            with path.open("rb") as file:
                walker = _Walker(file, path)
                tree = walker.value()
                if not isinstance(tree, dict):
                    raise broken(path, "not a table of arrays, as Flax writes them")
                if file.tell() != walker.size:
                    raise broken(path, f"{walker.size - file.tell()} bytes follow the weights")
                for name, spec, pieces in _arrays(walker, tree):
                    self.specs[name], self._pieces[name] = spec, pieces

    def read(self, name: str) -> np.ndarray:
        """Reads a tensor, as it is stored."""
        spec = self.specs[name]
        flat = np.empty(spec.nbytes, np.uint8)
        done = 0
        for piece in self._pieces[name]:
            out = flat[done : done + piece.spec.nbytes]
            read_into(self._file, self.path, name, offset=piece.offset, out=out)
            done += piece.spec.nbytes
        return flat.view(numpy_dtype(spec.dtype)).reshape(spec.shape)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


# --------------------------------------------------------------------------------------
# Arrays in the tree
# --------------------------------------------------------------------------------------


def _arrays(
    walker: _Walker, tree: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, TensorSpec, list[_Array]]]:
    """Yields every array below `tree`: its name, its type and shape, and its pieces."""
    for key, value in tree.items():
        name = "/".join((*path, key))
        if isinstance(value, _Blob) and value.extension in (_NDARRAY, _SCALAR):
            array = walker.array(name, value)
            yield name, array.spec, [array]
        elif isinstance(value, dict) and _CHUNKED in value:
            yield name, *_chunked(walker, name, value)
        elif isinstance(value, dict):
            yield from _arrays(walker, value, (*path, key))


def _chunked(walker: _Walker, name: str, table: dict[str, Any]) -> tuple[TensorSpec, list[_Array]]:
    """Returns an array that Flax cut into flat pieces, which are keys "0", "1", ..."""
    shape, chunks = (_listed(table.get(key)) for key in ("shape", "chunks"))
    pieces = [walker.array(name, chunk) for chunk in chunks if isinstance(chunk, _Blob)]
    counts = all(type(size) is int and size >= 0 for size in shape)
    if not counts or not pieces or len(pieces) != len(chunks):
        raise broken(walker.path, f"the pieces of the tensor {name} are not arrays with a shape")
    spec = TensorSpec(tuple(shape), pieces[0].spec.dtype)
    if (
        any(piece.spec.dtype != spec.dtype for piece in pieces)
        or sum(piece.spec.nbytes for piece in pieces) != spec.nbytes
    ):
        raise broken(walker.path, f"the pieces of the tensor {name} do not fill {spec.shape}")
    return spec, pieces


def _listed(table: Any) -> list[Any]:
    """Returns the values of {"0": ..., "1": ...} in the order of their keys; Flax's form of a
    tuple.
    """
    if isinstance(table, list):
        return table
    if not isinstance(table, dict):
        return []
    return [table[str(i)] for i in range(len(table)) if str(i) in table]


# --------------------------------------------------------------------------------------
# MessagePack
# --------------------------------------------------------------------------------------

# First byte -> struct format, of numbers and of lengths.
_NUMBERS = dict(zip(range(0xCA, 0xD4), "fdBHIQbhiq", strict=True))
_LENGTHS = dict(zip((1, 2, 4), "BHI", strict=True))


class _Walker:
    """Reads MessagePack from a file, skipping over binary and extension values."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self._file = file

    def value(self, depth: int = 0) -> Any:
        """Reads the next value: a number, a text, a list, a table, or a `_Blob`."""
        if depth > _DEEPEST:
            raise broken(self.path, f"tables more than {_DEEPEST} deep")
        first = self._take(1)[0]
        if first <= 0x7F:
            return first
        if first >= 0xE0:
            return first - 256
        if first <= 0x8F:
            return self._table(first & 0x0F, depth)
        if first <= 0x9F:
            return self._list(first & 0x0F, depth)
        if first <= 0xBF:
            return self._text(first & 0x1F)
        if first in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[first]
        if first in _NUMBERS:
            return self._number(_NUMBERS[first])
        if 0xC4 <= first <= 0xC6:
            return self._skip(self._length(1 << (first - 0xC4)), None)
        if 0xC7 <= first <= 0xC9:
            length = self._length(1 << (first - 0xC7))
            return self._skip(length, self._number("b"))
        if 0xD4 <= first <= 0xD8:
            return self._skip(1 << (first - 0xD4), self._number("b"))
        if 0xD9 <= first <= 0xDB:
            return self._text(self._length(1 << (first - 0xD9)))
        if first in (0xDC, 0xDD):
            return self._list(self._length(2 << (first - 0xDC)), depth)
        if first in (0xDE, 0xDF):
            return self._table(self._length(2 << (first - 0xDE)), depth)
        raise broken(self.path, f"not MessagePack at byte {self._file.tell() - 1}")

    def array(self, name: str, blob: _Blob) -> _Array:
        """Returns the type, shape and place of the array in an extension value."""
        self._file.seek(blob.offset)
        packed = self.value()
        end = blob.offset + blob.length
        shape, dtype, values = packed if isinstance(packed, list) and len(packed) == 3 else [0] * 3
        dtype = _DTYPE_NAMES.get(str(dtype), str(dtype))
        if (
            not isinstance(values, _Blob)
            or values.offset + values.length > end
            or not isinstance(shape, list)
            or not all(type(size) is int and size >= 0 for size in shape)
        ):
            raise broken(self.path, f"the tensor {name} is not an array as Flax packs it")
        if not is_known_dtype(dtype):
            raise broken(
                self.path,
                f"the tensor {name} is of the type {dtype!r}",
                "only arrays of numbers can be read",
            )
        spec = TensorSpec(tuple(shape), dtype)
        if values.length != spec.nbytes:
            raise broken(
                self.path,
                f"the tensor {name} {spec.shape} {dtype} takes {spec.nbytes} bytes, but "
                f"{values.length} are there",
            )
        return _Array(spec, values.offset)

    def _take(self, count: int) -> bytes:
        found = self._file.read(count)
        if len(found) < count:
            raise broken(self.path, f"ends after {self.size} bytes, in the midst of its weights")
        return found

    def _number(self, form: str) -> Any:
        return struct.unpack(f">{form}", self._take(struct.calcsize(form)))[0]

    def _length(self, size: int) -> int:
        return int(self._number(_LENGTHS[size]))

    def _text(self, length: int) -> str:
        if length > _LONGEST_TEXT:
            raise broken(self.path, f"a name of {length} bytes at byte {self._file.tell()}")
        try:
            return self._take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise broken(self.path, f"a name that is no text at {self._file.tell()}") from None

    def _skip(self, length: int, extension: int | None) -> _Blob:
        blob = _Blob(self._file.tell(), length, extension)
        if blob.offset + length > self.size:
            raise broken(
                self.path,
                f"ends after {self.size} bytes, but values reach to {blob.offset + length}",
            )
        self._file.seek(length, 1)
        return blob

    def _list(self, count: int, depth: int) -> list[Any]:
        # One by one: a damaged count ends where the file does.
        return [self.value(depth + 1) for _ in range(count)]

    def _table(self, count: int, depth: int) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for _ in range(count):
            key = self.value(depth + 1)
            if not isinstance(key, str):
                raise broken(self.path, f"a table has the key {key!r}, which is no name")
            if key in table:
                raise broken(self.path, f"a table has the name {key!r} twice")
            table[key] = self.value(depth + 1)
        return table


__all__ = ["MsgpackFile"]
