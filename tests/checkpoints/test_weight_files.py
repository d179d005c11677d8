"""Weights by PyTorch's names: one tensor at a time, and damage is named."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from checkpoints.weight_writers import (
    safetensors_header,
    write_h5,
    write_index,
    write_msgpack,
    write_raw,
    write_safetensors,
    write_shards,
)
from small_models import COMPILES

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files import weight_files
from keras_s2s.checkpoints.files.weight_files import TensorSpec, find_weights, open_weights

# No backend has a part in any of this.
pytestmark = [pytest.mark.slow] if COMPILES else []

MIB = 2**20


def some_tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "model.shared.weight": rng.normal(size=(5, 3)).astype(np.float32),
        "model.half": rng.normal(size=(2, 1, 4)).astype(np.float16),
        "model.brain": rng.normal(size=(3, 2)).astype(ml_dtypes.bfloat16),
        "model.position_ids": np.arange(6)[None],
        "model.mask": np.array([True, False]),
        "model.empty": np.zeros((0, 4), np.float32),
        "model.scalar": np.array(2.5, np.float32),
    }


def assert_holds(folder: Path, tensors: dict[str, np.ndarray]) -> None:
    with open_weights(folder) as weights:
        assert dict(weights.specs) == {
            name: TensorSpec(array.shape, array.dtype.name) for name, array in tensors.items()
        }
        # Twice, and the last one first: no order is assumed.
        for name in [*reversed(tensors), *tensors]:
            found = weights.read(name)
            assert found.dtype == tensors[name].dtype
            assert found.shape == tensors[name].shape
            np.testing.assert_array_equal(found, tensors[name])


# --------------------------------------------------------------------------------------
# What is read
# --------------------------------------------------------------------------------------


def test_safetensors_of_every_type(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", some_tensors())
    assert_holds(tmp_path, some_tensors())


def test_safetensors_as_the_library_writes_them(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file(some_tensors(), tmp_path / "model.safetensors")
    assert_holds(tmp_path, some_tensors())


def test_shards_are_one_checkpoint(tmp_path: Path) -> None:
    names = list(some_tensors())
    shards = [{n: some_tensors()[n] for n in part} for part in (names[:3], names[3:4], names[4:])]
    index = write_shards(tmp_path, shards)
    assert_holds(tmp_path, some_tensors())
    with open_weights(tmp_path) as weights:
        assert weights.path == index
        assert weights.file_of(names[0]) == tmp_path / "model-00001-of-00003.safetensors"
        assert weights.file_of(names[3]) == tmp_path / "model-00002-of-00003.safetensors"


def torch_tensors() -> OrderedDict[str, Any]:
    torch = pytest.importorskip("torch")
    return OrderedDict(
        (name, torch.tensor(array.astype(np.float32)).bfloat16())
        if array.dtype == ml_dtypes.bfloat16
        else (name, torch.tensor(array))
        for name, array in some_tensors().items()
    )


@pytest.mark.parametrize("zipped", [True, False])
def test_pytorch_files_of_both_forms(zipped: bool, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "pytorch_model.bin"
    torch.save(torch_tensors(), path, _use_new_zipfile_serialization=zipped)
    assert (path.read_bytes()[:2] == b"PK") == zipped
    assert_holds(tmp_path, some_tensors())


def test_pytorch_views_and_parameters(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    table = torch.arange(12.0).reshape(3, 4)
    state = {"turned": table.T, "tied": table, "parameter": torch.nn.Parameter(table[1:])}
    torch.save(state, tmp_path / "pytorch_model.bin")
    assert_holds(tmp_path, {name: t.detach().numpy() for name, t in state.items()})


def test_pytorch_shards(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    tensors = torch_tensors()
    weight_map = {}
    for i, name in enumerate(tensors):
        weight_map[name] = file = f"pytorch_model-{i % 2 + 1:05d}-of-00002.bin"
        part = {n: tensors[n] for n, f in weight_map.items() if f == file}
        torch.save(part, tmp_path / file)
    write_index(tmp_path / "pytorch_model.bin.index.json", weight_map)
    with open_weights(tmp_path) as weights:
        assert set(weights.specs) == set(tensors)


def test_the_first_names_of_berts_norms_are_todays(tmp_path: Path) -> None:
    old = {
        "bert.LayerNorm.gamma": np.ones(2, np.float32),
        "bert.LayerNorm.beta": np.zeros(2, np.float32),
        "model.alpha_gamma": np.zeros(1, np.float32),
        "model.scale.gamma": np.zeros(1, np.float32),
    }
    write_safetensors(tmp_path / "model.safetensors", old)
    with open_weights(tmp_path) as weights:
        assert list(weights.specs) == [
            "bert.LayerNorm.weight",
            "bert.LayerNorm.bias",
            "model.alpha_gamma",
            "model.scale.gamma",
        ]
        np.testing.assert_array_equal(weights.read("bert.LayerNorm.weight"), np.ones(2))


# --------------------------------------------------------------------------------------
# Which file is taken
# --------------------------------------------------------------------------------------

IN_ORDER = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "tf_model.h5",
    "tf_model.h5.index.json",
    "flax_model.msgpack",
    "flax_model.msgpack.index.json",
]


def test_formats_in_their_order(monkeypatch) -> None:
    for i in range(len(IN_ORDER)):
        assert find_weights(["config.json", *reversed(IN_ORDER[i:])]) == IN_ORDER[i]
    assert find_weights(["config.json", "model.gguf"]) is None
    # What can be read here goes before what cannot.
    monkeypatch.setattr(weight_files, "torch_is_installed", lambda: False)
    assert find_weights(IN_ORDER[1:]) == IN_ORDER[1]
    assert find_weights(IN_ORDER[2:]) == "tf_model.h5"
    assert find_weights(["flax_model.msgpack", *IN_ORDER[2:4]]) == "flax_model.msgpack"
    assert find_weights(IN_ORDER[2:4]) == "pytorch_model.bin"


def test_pytorch_files_without_pytorch_are_refused_with_advice(tmp_path, monkeypatch) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK\x03\x04")
    for module in ("weight_files", "torch_file"):
        monkeypatch.setattr(
            f"keras_s2s.checkpoints.files.{module}.torch_is_installed", lambda: False
        )
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin.*keras_s2s\[torch\].*safetens"):
        open_weights(tmp_path)


@pytest.mark.parametrize(
    ("files", "advice"),
    [
        ([], "the folder is empty"),
        (["config.json", "llama.gguf"], "has config.json, llama.gguf; GGUF files are for"),
        (["model.onnx"], "ONNX files cannot be trained"),
        (["adapter_config.json", "adapter_model.safetensors"], "merge it into its base model"),
        (["model.bin"], "CTranslate2's file"),
        ([f"{i:02}.txt" for i in range(25)], "19.txt and 5 more"),
    ],
)
def test_a_folder_without_weights_says_what_is_there(files, advice, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError) as error:
        open_weights(tmp_path)
    assert all(name in str(error.value) for name in [str(tmp_path), *IN_ORDER, advice])


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no such folder"):
        open_weights(tmp_path / "none")


# --------------------------------------------------------------------------------------
# What is damaged
# --------------------------------------------------------------------------------------

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 242\n"


@pytest.mark.parametrize("name", [name for name in IN_ORDER if not name.endswith(".json")])
def test_a_git_lfs_pointer(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(POINTER)
    with pytest.raises(CheckpointError, match=rf"{name}: a Git LFS pointer.*git lfs pull"):
        open_weights(tmp_path)


def test_a_git_lfs_pointer_for_a_shard(tmp_path: Path) -> None:
    write_shards(tmp_path, [{"a": np.ones(2)}, {"b": np.ones(2)}])
    (tmp_path / "model-00002-of-00002.safetensors").write_text(POINTER)
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002.*git lfs pull"):
        open_weights(tmp_path)


HEADER = {"a": np.ones((2, 3), np.float32), "b": np.ones(4, np.float16)}


def changed(**entries: Any) -> bytes:
    header = safetensors_header(HEADER)
    for name, entry in entries.items():
        header[name] = {**header[name], **entry} if isinstance(entry, dict) else entry
    return json.dumps(header).encode()


BROKEN_SAFETENSORS: dict[str, tuple[bytes, int, int | None, str]] = {
    "header longer than the file": (changed(), 32, 10**6, "fewer than its safetensors header"),
    "header longer than memory": (changed(), 32, 2**62, "fewer than its safetensors header"),
    "header cut": (changed(), 32, 20, "header is not JSON"),
    "not JSON": (b"{'a': 1}", 0, None, "header is not JSON"),
    "not text": (b"\xff\xfe\x00", 0, None, "header is not JSON"),
    "deep": (b"[" * 100_000, 0, None, "header is not JSON"),
    "a list": (b"[]", 0, None, "not a table of tensors"),
    "entry": (changed(a=3), 32, None, "entry for a lacks"),
    "shape": (changed(a={"shape": [2, -3]}), 32, None, "entry for a lacks"),
    "shape text": (changed(b={"shape": "4"}), 32, None, "entry for b lacks"),
    "one offset": (changed(a={"data_offsets": [0]}), 32, None, "entry for a lacks"),
    "type": (changed(b={"dtype": "I4"}), 32, None, r"tensor b is of the type 'I4'.*BF16"),
    "another size": (
        changed(a={"shape": [2, 4]}),
        32,
        None,
        r"tensor a \(2, 4\) float32 takes 32 bytes.*0 to 24",
    ),
    "values cut": (changed(), 31, None, "tensor b ends at byte 32 of the values.*holds 31"),
    "no values": (changed(), 0, None, "tensor a ends at byte 24"),
    "values too many": (changed(), 33, None, "1 bytes after the last tensor"),
    "a hole": (
        changed(b={"data_offsets": [26, 34]}),
        34,
        None,
        "tensor b begins at byte 26.*before it ends at 24",
    ),
    "overlap": (
        changed(b={"data_offsets": [20, 28]}),
        28,
        None,
        "tensor b begins at byte 20.*before it ends at 24",
    ),
    "twice": (
        changed()[:-1] + b"," + json.dumps({"a": safetensors_header(HEADER)["a"]}).encode()[1:],
        32,
        None,
        "has 'a' twice",
    ),
}


@pytest.mark.parametrize("kind", BROKEN_SAFETENSORS)
def test_broken_safetensors(kind: str, tmp_path: Path) -> None:
    header, values, length, message = BROKEN_SAFETENSORS[kind]
    path = write_raw(tmp_path / "model.safetensors", header, bytes(values), length)
    with pytest.raises(CheckpointError, match=message) as error:
        open_weights(tmp_path)
    assert str(error.value).startswith(f"{path}: ")
    # The same table with nothing changed is read.
    write_raw(path, changed(), bytes(32))
    open_weights(tmp_path).close()


@pytest.mark.parametrize("size", [0, 3, 8, 40])
def test_safetensors_cut_short(size: int, tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "model.safetensors", HEADER)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=r"fewer than its safetensors header.*fetch it again"):
        open_weights(tmp_path)


def test_a_file_that_shrinks_while_it_is_open(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "model.safetensors", HEADER)
    with open_weights(tmp_path) as weights:
        path.write_bytes(path.read_bytes()[:-4])
        np.testing.assert_array_equal(weights.read("a"), HEADER["a"])
        with pytest.raises(CheckpointError, match=r"model\.safetensors: ends within the tensor b"):
            weights.read("b")


def test_a_missing_shard(tmp_path: Path) -> None:
    write_shards(tmp_path, [{"a": np.ones(2)}, {"b": np.ones(2)}, {"c": np.ones(2)}])
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"index\.json: of its 3 files model-00002-of-00003\S* is missing"
    ):
        open_weights(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["../x.safetensors", "/x.safetensors", "a/x", "..", ".", "", "..\\x", "C:x", "C:\\x", "a\0", 3],
)
def test_a_shard_outside_of_the_folder(name: Any, tmp_path: Path) -> None:
    inside = tmp_path / "checkpoint"
    inside.mkdir()
    write_safetensors(tmp_path / "x.safetensors", {"a": np.ones(2)})
    write_index(inside / "model.safetensors.index.json", {"a": name})
    with pytest.raises(CheckpointError, match=r"the tensor a is said to be in .* outside of it"):
        open_weights(inside)


def test_an_index_that_names_what_its_shard_lacks(tmp_path: Path) -> None:
    index = write_shards(tmp_path, [{"a": np.ones(2)}, {"b": np.ones(2)}])
    weight_map = json.loads(index.read_text())["weight_map"]
    write_index(index, {**weight_map, "c": weight_map["a"]})
    with pytest.raises(CheckpointError, match=r"model-00001-of-00002\S*: lacks the tensor c"):
        open_weights(tmp_path)
    # What the index does not name is there all the same.
    write_index(index, weight_map)
    write_safetensors(tmp_path / weight_map["a"], {"a": np.ones(2), "d": np.ones(1)})
    with open_weights(tmp_path) as weights:
        assert set(weights.specs) == {"a", "b", "d"}


def test_a_tensor_in_two_shards(tmp_path: Path) -> None:
    one, two = {"a": np.ones(2), "c": np.ones(2)}, {"b": np.ones(2), "a": np.zeros(2)}
    write_shards(tmp_path, [one, two])
    with pytest.raises(
        CheckpointError, match=r"00002\S*: the tensor a is in model-00001-of-00002\S* as well"
    ):
        open_weights(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("{}", "has no weight_map"),
        ("[]", "has no weight_map"),
        ('{"weight_map": {}}', "its weight_map is not a table"),
        ('{"weight_map": ["a"]}', "its weight_map is not a table"),
    ],
)
def test_a_broken_index(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match=rf"model\.safetensors\.index\.json: {message}"):
        open_weights(tmp_path)


def test_shards_by_different_libraries(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "one", {"a.weight": np.ones(2)}, "pt")
    write_safetensors(tmp_path / "two", {"a.kernel": np.ones(2)}, "flax")
    write_index(tmp_path / "model.safetensors.index.json", {"a.weight": "one", "a.kernel": "two"})
    with pytest.raises(CheckpointError, match=r"different libraries: one \(torch\) and two \(flax"):
        open_weights(tmp_path)


class Harmful:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_is_refused(zipped: bool, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    state = {"a": torch.ones(2), "b": Harmful(tmp_path / "written")}
    path = tmp_path / "pytorch_model.bin"
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: holds more than tensors"):
        open_weights(tmp_path)
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_cut_pytorch_file(zipped: bool, part: float, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.ones(999)}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: not a PyTorch file"):
        open_weights(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello world", b"<html>Not found</html>", b"PK\x03\x04"])
def test_no_pytorch_file_at_all(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: (not a PyT|holds more than)"):
        open_weights(tmp_path)


def test_a_pytorch_file_of_something_else(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for state in ({"model": {"a": torch.ones(2)}, "step": 3}, [torch.ones(2)], torch.ones(2)):
        torch.save(state, tmp_path / "pytorch_model.bin")
        with pytest.raises(CheckpointError, match=r"not a plain table of tensors.*state_dict\(\)"):
            open_weights(tmp_path)
    torch.save({"a": torch.eye(3).to_sparse()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"the tensor a is a torch\.sparse_coo tensor"):
        open_weights(tmp_path)


# --------------------------------------------------------------------------------------
# Memory and time
# --------------------------------------------------------------------------------------

FORMATS = ["model.safetensors", "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack"]


def write_large(path: Path, mib: int) -> None:
    """Weights of `mib` MiB in tensors of four, as any of the formats."""
    tensors = {f"layer{i}": np.full((1024, 1024), i, np.float32) for i in range(mib // 4)}
    if path.suffix == ".safetensors":
        write_safetensors(path, {f"{name}.weight": array for name, array in tensors.items()})
    elif path.suffix == ".bin":
        torch = pytest.importorskip("torch")
        torch.save({f"{n}.weight": torch.from_numpy(a) for n, a in tensors.items()}, path)
    elif path.suffix == ".h5":
        write_h5(path, [(n, f"model/{n}/kernel:0", a) for n, a in tensors.items()])
    else:
        write_msgpack(path, {f"{name}/kernel": array for name, array in tensors.items()})


def resident_peak() -> Iterator[int]:
    """Bytes that this process's memory has grown by at most, since the first value."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    try:
        reset.write_text("5")
    except OSError:
        pytest.skip("this system does not tell the peak of a process's memory")

    def read(field: str) -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) * 1024

    before = read("VmRSS")
    while True:
        yield read("VmHWM") - before


@pytest.mark.parametrize("name", FORMATS)
def test_tensors_stream_in_one_by_one(name: str, tmp_path: Path) -> None:
    write_large(tmp_path / name, 128)
    # What readers import is no part of the weights.
    open_weights(tmp_path).close()
    peak = resident_peak()
    next(peak)
    tracemalloc.start()
    total = 0
    with open_weights(tmp_path) as weights:
        assert next(peak) < 8 * MIB, "opening reads values"
        for tensor in weights.specs:
            total += int(weights.read(tensor)[0, 0])
    _, allocated = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == sum(range(32))
    assert allocated < 12 * MIB
    # PyTorch's files are mapped, and let go of now and then.
    assert next(peak) < 58 * MIB


def test_a_marian_sized_checkpoint_is_read_in_no_time(tmp_path: Path) -> None:
    header: dict[str, Any] = {}
    for i in range(60):
        places = [i * 4 * MIB, (i + 1) * 4 * MIB]
        header[f"w{i}"] = {"dtype": "F32", "shape": [1024, 1024], "data_offsets": places}
    path = write_raw(tmp_path / "model.safetensors", json.dumps(header).encode(), b"")
    # Zeros that take no time to write: the time of reading is what counts.
    os.truncate(path, path.stat().st_size + 240 * MIB)
    start = time.process_time()
    with open_weights(tmp_path) as weights:
        for tensor in weights.specs:
            weights.read(tensor)
    assert time.process_time() - start < 2
