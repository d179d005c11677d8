"""Model folders, and seeded changes that break them: by key, by byte, by file."""

from __future__ import annotations

import json
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from checkpoints.weight_writers import pack
from parity.test_huggingface_text import make as make_with_text
from safetensors.numpy import load_file
from small_models import make_model, shrunken_preset

from keras_s2s import Seq2SeqLM

#: What a value may be replaced with.
STRANGE: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    2,
    3,
    7,
    -1,
    -(2**31),
    2**31 - 1,
    2**31,
    2**63,
    10**30,
]
STRANGE += [0.0, -0.0, 0.5, 1.5, -2.5, 1e-300, 1e300, float("nan"), float("inf"), -float("inf")]
STRANGE += ["", "a", "1", "-1", "true", "nan", "\ud7ff", "x" * 3000, "../../etc/passwd", "\0"]
STRANGE += [[], [None], [[]], [0], [1, 2], ["a"], [[1]], {}, {"a": 1}, {"a": {"b": []}}, [2**63]]
UNKNOWN = ["", "foo", "num_experts", "rope_theta", "hidden_size", "quantization_config", "scale"]
UNKNOWN += ["dense_act_fn", "eos_token", "forced_bos_token_id", "sampler", "base", "__metadata__"]


# ------------------------------------------------------------------ folders


def folders(root: Path) -> dict[str, Path]:
    """One of each format, with tokenizers where it has them."""
    found: dict[str, Path] = {}
    for name in ("bart", "marian", "t5", "m2m_100", "pegasus"):
        found[name] = make_with_text(name, root / f"made_{name}")[2]
    tensors = load_file(found["t5"] / "model.safetensors")
    for form in ("bin", "h5", "msgpack"):
        folder = Path(shutil.copytree(found["t5"], root / f"t5_{form}"))
        (folder / "model.safetensors").unlink()
        WRITERS[form](folder, tensors)
        found[f"t5_{form}"] = folder
    shards = root / "bart_shards"
    bart = Seq2SeqLM.from_preset(found["bart"], verbose=False)
    bart.export(shards, format="huggingface", max_shard_bytes=30_000)
    found["bart_shards"] = shards
    marian = Seq2SeqLM.from_preset(found["marian"], verbose=False)
    marian.export(root / "ct2", format="ctranslate2", quantization="int8")
    found["ctranslate2"] = root / "ct2"
    marian.save_to_preset(root / "own_marian")
    found["own_marian"] = root / "own_marian"
    for name in ("transformer_tiny", "gru_bahdanau"):
        make_model(shrunken_preset(name)).save_to_preset(root / name)
        found[name] = root / name
    return found


def _write_bin(folder: Path, tensors: dict[str, np.ndarray]) -> None:
    import torch

    torch.save({k: torch.from_numpy(v) for k, v in tensors.items()}, folder / "pytorch_model.bin")


def _write_h5(folder: Path, tensors: dict[str, np.ndarray]) -> None:
    """As Keras 2 wrote the weights of TFT5ForConditionalGeneration, in one layer."""
    import h5py

    with h5py.File(folder / "tf_model.h5", "w") as file:
        group = file.create_group("model")
        file.attrs["layer_names"] = [b"model"]
        names = []
        for name, array in tensors.items():
            path, kernel = name.removesuffix(".weight").replace(".", "/"), False
            path = path.replace("block/", "block_._").replace("layer/", "layer_._")
            if "/shared" not in f"/{path}" and "norm" not in path and "bias" not in path:
                kernel = array.ndim == 2
            name = f"m/{path}/{'kernel' if kernel else 'weight'}:0"
            names.append(name.encode())
            group[name] = array.T if kernel else array
        group.attrs["weight_names"] = names


def _write_msgpack(folder: Path, tensors: dict[str, np.ndarray]) -> None:
    tree: dict[str, Any] = {}
    for name, array in tensors.items():
        *above, leaf = name.split(".")
        kernel = array.ndim == 2 and not {"shared", "relative_attention_bias"} & set(above)
        if array.ndim == 2:
            leaf = "kernel" if kernel else "embedding"
        part = tree
        for key in above:
            part = part.setdefault(key, {})
        part[leaf] = array.T.copy() if kernel else array
    (folder / "flax_model.msgpack").write_bytes(pack(tree))


WRITERS: dict[str, Callable[[Path, dict[str, np.ndarray]], None]] = {
    "bin": _write_bin,
    "h5": _write_h5,
    "msgpack": _write_msgpack,
}


# ------------------------------------------------------------------ changes


def mutate(folder: Path, rng: random.Random) -> str:
    """Change a folder in place; what was done, for the message of a failure."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    small = [path for path in files if path.suffix in (".json", ".yaml")]
    done = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        by_key = small and rng.random() < 0.65
        # Configurations more often than vocabularies.
        first = [path for path in small if path.name in CONFIGURATIONS]
        path = rng.choice((first if first and rng.random() < 0.7 else small) if by_key else files)
        if not path.is_file():
            continue
        change = _by_key if by_key else rng.choice([_by_byte, _by_byte, _header, _by_file])
        done.append(f"{path.name}: {change(path, rng)}")
    return "; ".join(done)


CONFIGURATIONS = {"config.json", "generation_config.json", "tokenizer_config.json", "preset.yaml"}


def _places(data: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything inside a value, the first of long lists alone."""
    keys: list[Any] = []
    if isinstance(data, dict):
        keys = list(data)[:60]
    elif isinstance(data, list):
        keys = list(range(min(len(data), 5)))
    for key in keys:
        yield (*above, key)
        yield from _places(data[key], (*above, key))


def _by_key(path: Path, rng: random.Random) -> str:
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        data = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return "left"
    data, done = _changed(data, rng)
    if path.suffix == ".json":
        path.write_text(json.dumps(data, ensure_ascii=True), encoding="utf-8")
    else:
        path.write_text(yaml.safe_dump(data, allow_unicode=False), encoding="utf-8")
    return done


def _changed(data: Any, rng: random.Random) -> tuple[Any, str]:
    places = list(_places(data))
    kind = rng.random()
    if not places or kind < 0.03:
        value = rng.choice(STRANGE)
        return value, f"all = {value!r:.40}"
    place = rng.choice(places)
    part = data
    for key in place[:-1]:
        part = part[key]
    key, shown = place[-1], ".".join(map(str, place))
    if kind < 0.25:
        del part[key]
        return data, f"{shown} deleted"
    if kind < 0.35 and isinstance(part, dict):
        new = rng.choice(UNKNOWN)
        part[new] = rng.choice(STRANGE)
        return data, f"{shown} beside it {new} = {part[new]!r:.40}"
    value = rng.choice(STRANGE)
    if (
        isinstance(part[key], int | float)
        and not isinstance(part[key], bool)
        and rng.random() < 0.4
    ):
        value = rng.choice([part[key] + 1, part[key] - 1, part[key] * 2, -part[key], part[key] / 2])
    part[key] = value
    return data, f"{shown} = {value!r:.40}"


def _by_byte(path: Path, rng: random.Random) -> str:
    content = bytearray(path.read_bytes())
    if not content:
        return "left"
    kind = rng.choice(["cut", "flip", "flip", "flip", "zero", "insert", "empty"])
    # Headers more often than values.
    at = rng.randrange(len(content) if rng.random() < 0.5 else min(len(content), 400))
    if kind == "cut":
        del content[at:]
    elif kind == "flip":
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(content) if rng.random() < 0.5 else min(len(content), 2000))
            content[at] ^= 1 << rng.randrange(8)
    elif kind == "zero":
        end = min(len(content), at + rng.randint(1, 64))
        content[at:end] = bytes(end - at)
    elif kind == "insert":
        content[at:at] = rng.randbytes(rng.randint(1, 16))
    else:
        content.clear()
    path.write_bytes(content)
    return f"{kind} at {at}"


def _header(path: Path, rng: random.Random) -> str:
    """Keys of a safetensors header; other files by byte."""
    if path.suffix != ".safetensors":
        return _by_byte(path, rng)
    content = path.read_bytes()
    if len(content) < 8:
        return "left"
    (length,) = struct.unpack("<Q", content[:8])
    try:
        header, done = _changed(json.loads(content[8 : 8 + length]), rng)
    except ValueError:
        return "left"
    written = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(written)) + written + content[8 + length :])
    return f"header: {done}"


def _by_file(path: Path, rng: random.Random) -> str:
    kind = rng.choice(["deleted", "directory", "copied over", "dangling"])
    if kind == "copied over":
        others = sorted(other for other in path.parent.iterdir() if other.is_file())
        path.write_bytes(rng.choice(others).read_bytes())
        return kind
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "dangling":
        path.symlink_to(path.parent / "gone")
    return kind
