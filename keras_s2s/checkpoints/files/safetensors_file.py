"""Reads safetensors files: a JSON header with offsets, and then the values.

The header is checked here, field by field, so that an error names the tensor; the format is small
enough for that: eight bytes with the header's length, the header, the values without holes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from keras_s2s.checkpoints.files.foreign_names import without_scope
from keras_s2s.checkpoints.files.tensor_file import (
    Layout,
    TensorFile,
    TensorSpec,
    broken,
    closing_on_error,
    open_bytes,
    read_array,
    refuse_pointer,
)

_DTYPES = {
    "BOOL": "bool",
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
}

# TensorFlow and Flax classes of transformers 4 could write safetensors too, with their own names.
_LAYOUTS: dict[str, Layout] = {"pt": "torch", "tf": "tensorflow", "flax": "flax"}

_LENGTH_BYTES = 8
# The format's own limit.
_LONGEST_HEADER = 100_000_000


class SafetensorsFile(TensorFile):
    """An open `.safetensors` file.

    Args:
        path: the file.

    Raises:
        CheckpointError: its header is damaged, or promises what the file does not hold.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        refuse_pointer(path)
        self._file = open_bytes(path)
        with closing_on_error(self._file):
            header, self._start = self._read_header()
            metadata = header.pop("__metadata__", None) or {}
            form = metadata.get("format") if isinstance(metadata, dict) else None
            self.layout = _LAYOUTS.get(str(form), "torch")
            self._places: dict[str, tuple[int, int]] = {}
            if self.layout == "tensorflow":
                header = {without_scope(n, shortened=True): entry for n, entry in header.items()}
            self.specs = {name: self._spec(name, entry) for name, entry in header.items()}
            self._check_places()

    def read(self, name: str) -> np.ndarray:
        """Reads a tensor, as it is stored."""
        begin, _ = self._places[name]
        return read_array(
            self._file, self.path, name, offset=self._start + begin, spec=self.specs[name]
        )

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _read_header(self) -> tuple[dict[str, Any], int]:
        """Reads the header, and returns it with the offset at which the values begin."""
        size = self.path.stat().st_size
        length = int.from_bytes(self._file.read(_LENGTH_BYTES), "little")
        start = _LENGTH_BYTES + length
        if size < _LENGTH_BYTES or start > size or length > _LONGEST_HEADER:
            raise broken(
                self.path, f"has {size} bytes, fewer than its safetensors header of {length} needs"
            )
        try:
            header = json.loads(
                self._file.read(length).decode("utf-8"), object_pairs_hook=self._unique
            )
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise broken(self.path, f"its safetensors header is not JSON ({error})") from None
        if not isinstance(header, dict):
            raise broken(self.path, "its safetensors header is not a table of tensors")
        return header, start

    def _unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise broken(self.path, f"its safetensors header has {twice!r} twice")
        return table

    def _spec(self, name: str, entry: Any) -> TensorSpec:
        fields = entry if isinstance(entry, Mapping) else {}
        shape, places = fields.get("shape"), fields.get("data_offsets")
        if not _are_counts(shape) or not _are_counts(places) or len(places) != 2:
            raise broken(
                self.path, f"the header's entry for {name} lacks a valid shape or data_offsets"
            )
        dtype = _DTYPES.get(str(fields.get("dtype")))
        if dtype is None:
            raise broken(
                self.path,
                f"the tensor {name} is of the type {fields.get('dtype')!r}",
                f"only {', '.join(sorted(_DTYPES))} can be read",
            )
        spec = TensorSpec(tuple(shape), dtype)
        begin, end = places
        if end - begin != spec.nbytes:
            raise broken(
                self.path,
                f"the tensor {name} {spec.shape} {dtype} takes {spec.nbytes} bytes, but its "
                f"data_offsets are {begin} to {end}",
            )
        self._places[name] = (begin, end)
        return spec

    def _check_places(self) -> None:
        """Raises an error unless every byte of the values belongs to one tensor, as the format
        demands.
        """
        held = self.path.stat().st_size - self._start
        reached = 0
        # By end as well: an empty tensor comes before the one that begins where it lies.
        for name, (begin, end) in sorted(self._places.items(), key=lambda item: item[1]):
            if end > held:
                raise broken(
                    self.path,
                    f"the tensor {name} ends at byte {end} of the values, but the file holds "
                    f"{held} of them",
                )
            if begin != reached:
                raise broken(
                    self.path,
                    f"the tensor {name} begins at byte {begin} of the values, but the one "
                    f"before it ends at {reached}",
                )
            reached = end
        if reached != held:
            raise broken(self.path, f"{held - reached} bytes after the last tensor belong to none")


def _are_counts(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


__all__ = ["SafetensorsFile"]
