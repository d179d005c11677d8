"""Weight files as other libraries write them, written byte by byte, and damaged at will."""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

Tensors = Mapping[str, np.ndarray]

RECORDED = Path(__file__).parent / "recorded_names.tsv"

# --------------------------------------------------------------------------------------
# Safetensors
# --------------------------------------------------------------------------------------

DTYPES = {
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F64": np.float64,
    "I64": np.int64,
    "BOOL": np.bool_,
}


def safetensors_header(tensors: Tensors, form: str | None = "pt") -> dict[str, Any]:
    """The header of a file that holds `tensors` one after the other."""
    names = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
    header: dict[str, Any] = {} if form is None else {"__metadata__": {"format": form}}
    place = 0
    for name, array in tensors.items():
        header[name] = {
            "dtype": names[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [place, place + array.nbytes],
        }
        place += array.nbytes
    return header


def write_raw(path: Path, header: bytes, values: bytes, length: int | None = None) -> Path:
    """A safetensors file with any header, a broken one too."""
    size = len(header) if length is None else length
    path.write_bytes(struct.pack("<Q", size) + header + values)
    return path


def write_safetensors(path: Path, tensors: Tensors, form: str | None = "pt") -> Path:
    header = json.dumps(safetensors_header(tensors, form)).encode()
    return write_raw(path, header, b"".join(array.tobytes() for array in tensors.values()))


def write_index(path: Path, weight_map: Mapping[str, str]) -> Path:
    path.write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": dict(weight_map)}))
    return path


def write_shards(folder: Path, shards: Sequence[Tensors]) -> Path:
    """A checkpoint in numbered safetensors files with their index."""
    weight_map = {}
    for i, tensors in enumerate(shards, 1):
        name = f"model-{i:05d}-of-{len(shards):05d}.safetensors"
        write_safetensors(folder / name, tensors)
        weight_map |= dict.fromkeys(tensors, name)
    return write_index(folder / "model.safetensors.index.json", weight_map)


# --------------------------------------------------------------------------------------
# MessagePack, as flax.serialization uses it
# --------------------------------------------------------------------------------------


def pack(value: Any) -> bytes:
    """MessagePack of tables, lists, texts, numbers and arrays; the shortest form of each."""
    match value:
        case dict():
            items = b"".join(pack(k) + pack(v) for k, v in value.items())
            return _sized(len(value), 0x80, 16, {2: 0xDE, 4: 0xDF}) + items
        case list() | tuple():
            return _sized(len(value), 0x90, 16, {2: 0xDC, 4: 0xDD}) + b"".join(map(pack, value))
        case str():
            text = value.encode()
            return _sized(len(text), 0xA0, 32, {1: 0xD9, 2: 0xDA, 4: 0xDB}) + text
        case bool() | None:
            return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
        case int() if value >= 0:
            return _sized(value, 0x00, 128, {1: 0xCC, 2: 0xCD, 4: 0xCE})
        case int() if -32 <= value < 0:
            return struct.pack("b", value)
        case float():
            return b"\xcb" + struct.pack(">d", value)
        case bytes():
            return _sized(len(value), 0, 0, {1: 0xC4, 2: 0xC5, 4: 0xC6}) + value
        case np.ndarray():
            return extension(1, pack((list(value.shape), value.dtype.name, value.tobytes())))
        case np.generic():
            return extension(3, pack(([], value.dtype.name, value.tobytes())))
    raise TypeError(type(value))


def extension(kind: int, payload: bytes) -> bytes:
    if len(payload) in (1, 2, 4, 8, 16):
        return bytes([0xD4 + (1, 2, 4, 8, 16).index(len(payload)), kind]) + payload
    return _sized(len(payload), 0, 0, {1: 0xC7, 2: 0xC8, 4: 0xC9}) + bytes([kind]) + payload


def _sized(size: int, short: int, limit: int, forms: Mapping[int, int]) -> bytes:
    if size < limit:
        return bytes([short + size])
    for width, first in forms.items():
        if size < 256**width:
            return bytes([first]) + size.to_bytes(width, "big")
    raise ValueError(size)


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"a/b": x} -> {"a": {"b": x}}."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *above, last = path.split("/")
        table = tree
        for key in above:
            table = table.setdefault(key, {})
        table[last] = value
    return tree


def write_msgpack(path: Path, tensors: Mapping[str, Any]) -> Path:
    path.write_bytes(pack(nest(tensors)))
    return path


# --------------------------------------------------------------------------------------
# HDF5, as Keras 2's save_weights writes it
# --------------------------------------------------------------------------------------


def write_h5(path: Path, weights: Iterable[tuple[str, str, np.ndarray]]) -> Path:
    """Groups of variables: (layer, variable, values)."""
    import h5py

    layers: dict[str, list[str]] = {}
    with h5py.File(path, "w") as file:
        for layer, name, values in weights:
            layers.setdefault(layer, []).append(name)
            file.create_dataset(f"{layer}/{name}", data=values)
        for layer, names in layers.items():
            file[layer].attrs["weight_names"] = [name.encode() for name in names]
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        file.attrs["backend"] = b"tensorflow"
    return path


# --------------------------------------------------------------------------------------
# Names that transformers 4.46 wrote
# --------------------------------------------------------------------------------------


class Recorded(NamedTuple):
    """A tensor of a small checkpoint that transformers 4.46 wrote in all three libraries.

    The layouts say how a file has it, as seen from PyTorch: "as_is", "transposed", or as a "row"
    [1, n] of a vector. "-" stands for a tensor that Flax's classes do not store.
    """

    model: str
    group: str
    tensorflow: str
    tensorflow_layout: str
    flax: str
    flax_layout: str
    torch: str
    torch_shape: tuple[int, ...]


def recorded() -> dict[str, list[Recorded]]:
    """Model -> its tensors."""
    models: dict[str, list[Recorded]] = {}
    with RECORDED.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            shape = tuple(int(size) for size in row.pop("torch_shape").split("x"))
            models.setdefault(row["model"], []).append(Recorded(**row, torch_shape=shape))
    return models


def random_tensors(rows: Iterable[Recorded]) -> dict[str, np.ndarray]:
    """A value for each tensor, by PyTorch's names."""
    rng = np.random.default_rng(0)
    return {row.torch: rng.normal(size=row.torch_shape).astype(np.float32) for row in rows}


def laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    """PyTorch's array as another library's file has it."""
    return {"as_is": array, "transposed": array.T.copy(), "row": array[None]}[layout]
