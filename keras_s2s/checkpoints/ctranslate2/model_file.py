"""Reads CTranslate2's `model.bin`: a list of named arrays, one at a time.

    uint32 version, string spec, uint32 revision, uint32 number of variables, then for each
        string name, uint8 rank, uint32 sizes [rank],
        from version 4:  uint8 type, uint32 bytes of the payload, payload
        before:          uint8 bytes of an element, uint32 number of elements, payload
    from version 3: uint32 number of aliases, then for each  string alias, string variable

All numbers are little-endian; a string is a uint16 length that counts a closing NUL, and the bytes.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import numpy as np

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.tensor_file import refuse_pointer

FILE_NAME = "model.bin"
VERSIONS = range(2, 7)

#: By the type's number in the file. NumPy has no bfloat16: its bits are the upper half of a
#: float32's.
TYPES = ("float32", "int8", "int16", "int32", "float16", "bfloat16")
#: Before version 4 the file told the size of an element only.
TYPES_BY_SIZE = {4: "float32", 2: "int16", 1: "int8"}
SIZES = {"float32": 4, "int8": 1, "int16": 2, "int32": 4, "float16": 2, "bfloat16": 2}

#: The scale of 16-bit weights in files that do not hold it.
INT16_SCALE = 1000.0


@dataclass(frozen=True)
class Variable:
    """An array of the file, not read yet.

    Attributes:
        name: e.g. `encoder/layer_0/ffn/linear_0/weight`.
        shape: empty for a scalar.
        dtype: one of `TYPES`.
        offset: of its first byte in the file.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    offset: int

    @property
    def bytes(self) -> int:
        """Size of the values in the file, in bytes."""
        return math.prod(self.shape) * SIZES[self.dtype]


class CTranslate2File:
    """The variables of a `model.bin`, whose headers are read and checked when it is opened.

    Args:
        path: the file.

    Attributes:
        version: of the binary format.
        spec: what kind of model it is, e.g. `TransformerSpec`.
        revision: of that kind's list of variables.
        variables: by name, as stored.
        aliases: other name -> name of the variable.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is not such a file, or is cut short; with the variable and the byte.

    Example:
        >>> folder = model.export("for_ctranslate2", format="ctranslate2")
        >>> with CTranslate2File(folder / "model.bin") as file:
        ...     file.array("decoder/embeddings/weight").shape
        (25, 32)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        refuse_pointer(self.path)
        # Read, not mapped: mapped pages count as the process's memory until the file is closed, so
        # that a whole model would be held twice.
        self._file = self.path.open("rb")
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            self._read_headers()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; arrays that were read stay valid."""
        self._file.close()

    # ------------------------------------------------------------------ variables

    def __contains__(self, name: str) -> bool:
        return name in self.variables or name in self.aliases

    def variable(self, name: str) -> Variable:
        """Returns the variable of this name, or the one that this name is an alias of.

        Raises:
            CheckpointError: there is none.
        """
        stored = self.variables.get(self.aliases.get(name, name))
        if stored is None:
            raise CheckpointError(f"{self.path}: variable {name!r} is missing")
        return stored

    def array(self, name: str) -> np.ndarray:
        """Reads an array: float32 from any floating or scaled type, else integers as stored.

        8-bit and 16-bit `weight`s are divided by their scale: one for each row, or one for all.

        Raises:
            CheckpointError: it or its scale is missing, or the scale cannot be one.
        """
        variable = self.variable(name)
        values = self._stored(variable)
        if variable.dtype in ("float32", "float16"):
            return values.astype(np.float32, copy=False)
        if variable.dtype == "bfloat16":
            return (values.astype(np.uint32) << 16).view(np.float32)
        if variable.dtype in ("int8", "int16") and variable.shape:
            return self._dequantised(variable, values)
        return values

    def scalar(self, name: str, default: Any = None) -> Any:
        """Returns a setting: the number in a variable, or `default` where the file has none."""
        if name not in self:
            return default
        variable = self.variable(name)
        if math.prod(variable.shape) != 1:
            self._fail(
                variable.offset, f"variable {name!r} is {variable.shape}, expected one number"
            )
        values = self._stored(variable)
        if variable.dtype == "bfloat16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return values.reshape(()).item()

    def text(self, name: str, default: str) -> str:
        """Returns a setting that is a text, stored as 8-bit numbers."""
        if name not in self:
            return default
        variable = self.variable(name)
        try:
            return self._stored(variable).tobytes().decode("utf-8")
        except UnicodeDecodeError:
            self._fail(variable.offset, f"variable {name!r} is not UTF-8 text")

    def _stored(self, variable: Variable) -> np.ndarray:
        dtype = "uint16" if variable.dtype == "bfloat16" else variable.dtype
        self._file.seek(variable.offset)
        count = math.prod(variable.shape)
        flat = np.fromfile(self._file, np.dtype(dtype).newbyteorder("<"), count)
        if flat.size != count:
            self._fail(variable.offset, f"the file ends inside variable {variable.name!r}")
        return flat.astype(dtype, copy=False).reshape(variable.shape)

    def _dequantised(self, variable: Variable, values: np.ndarray) -> np.ndarray:
        name = f"{variable.name}_scale"
        if name in self:
            held = self.variable(name)
            scale = self._stored(held).astype(np.float32)
        elif variable.dtype == "int16":
            held, scale = variable, np.asarray(INT16_SCALE, np.float32)
        else:
            self._fail(
                variable.offset,
                f"variable {variable.name!r} is {variable.dtype}, but {name!r} is missing",
            )
        if scale.size not in (1, variable.shape[0]):
            self._fail(
                held.offset,
                f"variable {name!r} has {scale.size} scales, expected 1 or the "
                f"{variable.shape[0]} rows of {variable.name!r}",
            )
        if not np.all(np.isfinite(scale)) or np.any(scale == 0):
            self._fail(held.offset, f"variable {name!r} holds a scale that is 0 or no number")
        if scale.size > 1:
            scale = scale.reshape(-1, *[1] * (values.ndim - 1))
        return values.astype(np.float32) / scale.reshape(() if scale.size == 1 else scale.shape)

    # ------------------------------------------------------------------ headers

    def _read_headers(self) -> None:
        self._at = 0
        self.version = self._number("I", "the format's version")
        if self.version not in VERSIONS:
            self._fail(
                0,
                f"version {self.version} is not one of {VERSIONS.start} to {VERSIONS.stop - 1}; "
                "it is no model of CTranslate2, or of another release: convert it again",
            )
        self.spec = self._string("the model's kind")
        self.revision = self._number("I", "the revision")
        self.variables: dict[str, Variable] = {}
        for i in range(self._number("I", "the number of variables")):
            variable = self._header(i)
            if variable.name in self.variables:
                self._fail(variable.offset, f"variable {variable.name!r} occurs twice")
            self.variables[variable.name] = variable
        self.aliases: dict[str, str] = {}
        if self.version >= 3:
            for i in range(self._number("I", "the number of aliases")):
                begin = self._at
                alias = self._string(f"alias {i}")
                meant = self._string(f"the variable of alias {alias!r}")
                if meant not in self.variables or alias in self.variables:
                    self._fail(
                        begin, f"alias {alias!r} stands for {meant!r}, which is no other variable"
                    )
                self.aliases[alias] = meant
        if self._at != self._size:
            self._fail(self._at, f"{self._size - self._at} bytes follow the last entry")

    def _header(self, number: int) -> Variable:
        name = self._string(f"the name of variable {number}")
        what = f"variable {name!r}"
        rank = self._number("B", f"the rank of {what}")
        shape = tuple(self._number("I", f"the shape of {what}") for _ in range(rank))
        begin = self._at
        if self.version >= 4:
            kind = self._number("B", f"the type of {what}")
            if kind >= len(TYPES):
                self._fail(begin, f"{what} has the type {kind}, known are 0 to {len(TYPES) - 1}")
            dtype = TYPES[kind]
            size = self._number("I", f"the size of {what}")
        else:
            width = self._number("B", f"the type of {what}")
            if width not in TYPES_BY_SIZE:
                self._fail(begin, f"{what} has elements of {width} bytes, expected 1, 2 or 4")
            dtype = TYPES_BY_SIZE[width]
            size = self._number("I", f"the size of {what}") * width
        variable = Variable(name, shape, dtype, self._at)
        if size != variable.bytes:
            self._fail(
                begin, f"{what}: {dtype} {shape} takes {variable.bytes} bytes, but it has {size}"
            )
        self._pass(size, f"the values of {what}")
        return variable

    def _string(self, what: str) -> str:
        begin = self._at
        length = self._number("H", f"the length of {what}")
        content = self._bytes(length, what)
        if not content.endswith(b"\0"):
            self._fail(begin, f"{what} does not end in a NUL")
        try:
            return content[:-1].decode("utf-8")
        except UnicodeDecodeError:
            self._fail(begin, f"{what} is not UTF-8 text")

    def _number(self, code: str, what: str) -> int:
        return struct.unpack(f"<{code}", self._bytes(struct.calcsize(f"<{code}"), what))[0]

    def _bytes(self, size: int, what: str) -> bytes:
        start = self._at
        self._pass(size, what)
        self._file.seek(start)
        return self._file.read(size)

    def _pass(self, size: int, what: str) -> None:
        """Skips the next `size` bytes."""
        start, self._at = self._at, self._at + size
        if self._at > self._size:
            self._fail(
                start,
                f"the file ends at byte {self._size}, inside {what}, which takes {size} "
                "bytes; it is cut short, copy or convert it again",
            )

    def _fail(self, offset: int, problem: str) -> NoReturn:
        raise CheckpointError(f"{self.path}, byte {offset}: {problem}")
