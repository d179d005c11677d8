"""What TensorFlow and Flax classes of transformers 4 wrote, by the names that PyTorch's have.

`recorded_names.tsv` has the names of tensors in checkpoints that transformers 4.46 wrote with all
three libraries; which tensor is which was found there by equal values.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from checkpoints.weight_writers import (
    Recorded,
    extension,
    laid_out,
    pack,
    random_tensors,
    recorded,
    write_h5,
    write_index,
    write_msgpack,
    write_safetensors,
)
from small_models import COMPILES

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.weight_files import open_weights

# No backend has a part in any of this.
pytestmark = [pytest.mark.slow] if COMPILES else []

MODELS = recorded()


def test_the_table_is_whole() -> None:
    assert set(MODELS) == {
        *("bart", "mbart", "marian", "t5", "t5v11"),
        *("bert2gpt2", "bert24", "roberta2roberta"),
    }
    assert sum(map(len, MODELS.values())) == 262
    assert {row.tensorflow_layout for rows in MODELS.values() for row in rows} == {
        *("as_is", "transposed", "row")
    }


def tensorflow_weights(rows: Iterable[Recorded]) -> list[tuple[str, str, np.ndarray]]:
    rows = list(rows)
    tensors = random_tensors(rows)
    return [
        (row.group, row.tensorflow, laid_out(tensors[row.torch], row.tensorflow_layout))
        for row in rows
    ]


def flax_weights(rows: Iterable[Recorded]) -> dict[str, np.ndarray]:
    rows = [row for row in rows if row.flax != "-"]
    tensors = random_tensors(rows)
    return {row.flax: laid_out(tensors[row.torch], row.flax_layout) for row in rows}


def assert_holds(folder: Path, rows: Iterable[Recorded]) -> None:
    tensors = random_tensors(rows)
    with open_weights(folder) as weights:
        assert set(weights.specs) == set(tensors)
        for name, array in tensors.items():
            assert weights.specs[name] == (array.shape, "float32")
            np.testing.assert_array_equal(weights.read(name), array, err_msg=name)


# --------------------------------------------------------------------------------------
# TensorFlow
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_tensorflow(model: str, tmp_path: Path) -> None:
    write_h5(tmp_path / "tf_model.h5", tensorflow_weights(MODELS[model]))
    assert_holds(tmp_path, MODELS[model])


def shortened(name: str) -> str:
    """A variable's name in shards and in safetensors: without the model's, or left whole."""
    if "model." in name or "/" not in name:
        return name
    return name.partition("/")[2]


@pytest.mark.parametrize("model", MODELS)
def test_tensorflow_in_shards(model: str, tmp_path: Path) -> None:
    import h5py

    unique = {name: values for _, name, values in tensorflow_weights(MODELS[model])}
    weight_map = {}
    for i in range(3):
        shard = f"tf_model-{i + 1:05d}-of-00003.h5"
        part = dict(list(unique.items())[i::3])
        weight_map |= dict.fromkeys(part, shard)
        with h5py.File(tmp_path / shard, "w") as file:
            for name, values in part.items():
                file.create_dataset(shortened(name), data=values)
            file.attrs["layer_names"] = [shortened(name).encode() for name in part]
    write_index(tmp_path / "tf_model.h5.index.json", weight_map)
    assert_holds(tmp_path, MODELS[model])


@pytest.mark.parametrize("model", MODELS)
def test_tensorflow_in_safetensors(model: str, tmp_path: Path) -> None:
    unique = {shortened(name): values for _, name, values in tensorflow_weights(MODELS[model])}
    write_safetensors(tmp_path / "model.safetensors", unique, "tf")
    assert_holds(tmp_path, MODELS[model])


@pytest.mark.parametrize("model", ["bart", "t5v11", "bert2gpt2"])
def test_a_tensorflow_model_that_was_built_but_never_called(model: str, tmp_path: Path) -> None:
    weights = [
        (layer, name.removeprefix("".join(name.partition("/")[:2])), values)
        if name.startswith("tf")
        else (layer, name, values)
        for layer, name, values in tensorflow_weights(MODELS[model])
    ]
    assert not any("conditional" in name or "_model" in name for _, name, _ in weights)
    write_h5(tmp_path / "tf_model.h5", weights)
    assert_holds(tmp_path, MODELS[model])


def test_older_names_of_shared_embeddings(tmp_path: Path) -> None:
    values = np.ones((3, 2), np.float32)
    for name, expected in {
        "model.shared/model.shared/weight:0": "model.shared.weight",
        "tf_bart_model/model.shared/weight:0": "model.shared.weight",
        "model.shared/weight:0": "model.shared.weight",
        "shared/shared/weight:0": "shared.weight",
        "shared/weight:0": "shared.weight",
        "tf_t5model_1/shared/weight:0": "shared.weight",
        "tf_bart_model/final_logits_bias:0": "final_logits_bias",
        "final_logits_bias/final_logits_bias:0": "final_logits_bias",
    }.items():
        write_h5(tmp_path / "tf_model.h5", [("layer", name, values)])
        with open_weights(tmp_path) as weights:
            assert list(weights.specs) == [expected]


def test_an_encoder_without_a_main_layer_keeps_its_names(tmp_path: Path) -> None:
    names = ["encoder/pooler/dense", "encoder/embeddings/dense", "decoder/bert/dense"]
    write_h5(
        tmp_path / "tf_model.h5", [("l", f"m/{name}/kernel:0", np.ones((2, 3))) for name in names]
    )
    with open_weights(tmp_path) as weights:
        assert set(weights.specs) == {f"{name.replace('/', '.')}.weight" for name in names}


def test_lists_too_long_for_one_attribute(tmp_path: Path) -> None:
    import h5py

    rows = MODELS["bart"]
    path = write_h5(tmp_path / "tf_model.h5", tensorflow_weights(rows))
    with h5py.File(path, "a") as file:
        for group, attribute in ((file, "layer_names"), (file["model"], "weight_names")):
            names = list(group.attrs[attribute])
            del group.attrs[attribute]
            half = (len(names) + 1) // 2
            group.attrs[f"{attribute}0"] = names[:half]
            group.attrs[f"{attribute}1"] = names[half:]
    assert_holds(tmp_path, rows)


def test_half_precision_and_big_endian(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float16).reshape(2, 3)
    write_h5(
        tmp_path / "tf_model.h5",
        [("l", "m/half/kernel:0", values), ("l", "m/big/kernel:0", values.astype(">f4"))],
    )
    with open_weights(tmp_path) as weights:
        assert weights.specs["half.weight"] == ((3, 2), "float16")
        assert weights.specs["big.weight"] == ((3, 2), "float32")
        for name in weights.specs:
            np.testing.assert_array_equal(weights.read(name), values.T)


def test_h5_of_another_kind(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "tf_model.h5"
    path.write_bytes(b"hello")
    with pytest.raises(CheckpointError, match=r"tf_model\.h5: not a readable HDF5 file"):
        open_weights(tmp_path)
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.ones(2)
    with pytest.raises(CheckpointError, match="not weights as Keras 2's save_weights wrote them"):
        open_weights(tmp_path)
    with h5py.File(path, "w") as file:
        file["l/m/a:0"] = np.array([b"text"])
        file["l"].attrs["weight_names"] = [b"m/a:0"]
        file.attrs["layer_names"] = [b"l"]
    with pytest.raises(CheckpointError, match=r"the tensor a is of the type .* not of numbers"):
        open_weights(tmp_path)


def test_a_cut_h5_file(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "tf_model.h5", tensorflow_weights(MODELS["t5"]))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"tf_model\.h5: not a readable HDF5 file.*fetch it"):
        open_weights(tmp_path)


def test_h5_that_lacks_what_it_lists(tmp_path: Path) -> None:
    import h5py

    path = write_h5(tmp_path / "tf_model.h5", tensorflow_weights(MODELS["t5"]))
    with h5py.File(path, "a") as file:
        del file["shared/shared/shared/embeddings:0"]
    with pytest.raises(CheckpointError, match=r"shared/shared/shared/embeddings:0 is missing"):
        open_weights(tmp_path)


@pytest.mark.parametrize("kind", ["external link", "soft link", "external values", "virtual"])
def test_h5_that_points_elsewhere_is_refused(kind: str, tmp_path: Path) -> None:
    import h5py

    secret = tmp_path / "secret"
    secret.write_bytes(bytes(8))
    other = write_h5(tmp_path / "other.h5", [("l", "m/a:0", np.ones(2, np.float32))])
    path = write_h5(tmp_path / "tf_model.h5", [("l", "m/b:0", np.ones(2, np.float32))])
    with h5py.File(path, "a") as file:
        del file["l/m/b:0"]
        if kind == "external link":
            file["l/m/b:0"] = h5py.ExternalLink(str(other), "l/m/a:0")
        elif kind == "soft link":
            file["l/m/b:0"] = h5py.SoftLink("/l/m")
        elif kind == "external values":
            file.create_dataset("l/m/b:0", (2,), "f4", external=[(str(secret), 0, 8)])
        else:
            layout = h5py.VirtualLayout((2,), "f4")
            layout[:] = h5py.VirtualSource(str(other), "l/m/a:0", (2,))
            file.create_virtual_dataset("l/m/b:0", layout)
    with pytest.raises(CheckpointError, match=r"l/m/b:0 .*one plain file"):
        open_weights(tmp_path)


# --------------------------------------------------------------------------------------
# Flax
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_flax(model: str, tmp_path: Path) -> None:
    write_msgpack(tmp_path / "flax_model.msgpack", flax_weights(MODELS[model]))
    assert_holds(tmp_path, [row for row in MODELS[model] if row.flax != "-"])


@pytest.mark.parametrize("model", ["bart", "bert2gpt2"])
def test_flax_in_other_wraps(model: str, tmp_path: Path) -> None:
    weights = flax_weights(MODELS[model])
    write_msgpack(
        tmp_path / "flax_model.msgpack", {f"params/{name}": a for name, a in weights.items()}
    )
    assert_holds(tmp_path, MODELS[model])
    (tmp_path / "flax_model.msgpack").unlink()

    shards = {}
    for i in range(2):
        part = dict(list(weights.items())[i::2])
        write_msgpack(tmp_path / f"flax_model-0000{i}-of-00002.msgpack", part)
        shards |= dict.fromkeys(part, f"flax_model-0000{i}-of-00002.msgpack")
    write_index(tmp_path / "flax_model.msgpack.index.json", shards)
    assert_holds(tmp_path, MODELS[model])

    # They come first, as long as they are there.
    write_safetensors(
        tmp_path / "model.safetensors",
        {name.replace("/", "."): array for name, array in weights.items()},
        "flax",
    )
    assert_holds(tmp_path, MODELS[model])


def test_arrays_of_many_types_and_forms(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    arrays: dict[str, Any] = {
        "brain": rng.normal(size=(3, 2)).astype(ml_dtypes.bfloat16),
        "half": rng.normal(size=300).astype(np.float16),
        "long": np.arange(2**14).reshape(2, -1),
        "empty": np.zeros((0, 3), np.float32),
        "wide": np.ones((1, 70_000), np.int8),
        "number": np.float32(2.5),
    }
    others = {"step": 3, "rate": 0.5, "nothing": None, "less": -5, "yes": True, "text": "a" * 300}
    write_msgpack(tmp_path / "flax_model.msgpack", {**others, **arrays})
    with open_weights(tmp_path) as weights:
        assert set(weights.specs) == set(arrays)
        for name, array in arrays.items():
            found = weights.read(name)
            assert (found.shape, found.dtype) == (np.shape(array), array.dtype)
            np.testing.assert_array_equal(found, array)


def test_an_array_in_pieces(tmp_path: Path) -> None:
    array = np.arange(60, dtype=np.float32).reshape(5, 12)
    pieces = np.split(array.ravel(), [25, 50])
    table = {
        "__msgpack_chunked_array__": True,
        "shape": {"0": 5, "1": 12},
        # In no order: the keys count.
        "chunks": {str(i): pieces[i] for i in (2, 0, 1)},
    }
    path = tmp_path / "flax_model.msgpack"
    path.write_bytes(pack({"fc1": {"kernel": table}}))
    with open_weights(tmp_path) as weights:
        assert weights.specs["fc1.weight"] == ((12, 5), "float32")
        np.testing.assert_array_equal(weights.read("fc1.weight"), array.T)
    for broken in (
        {"shape": {"0": 5, "1": 13}},
        {"shape": {"0": -5, "1": -12}},
        {"chunks": {"0": pieces[0], "1": 3}},
        {"chunks": {}},
        {"chunks": {"0": pieces[0], "1": pieces[1], "2": pieces[2].astype(np.int32)}},
    ):
        path.write_bytes(pack({"fc1": {"kernel": {**table, **broken}}}))
        with pytest.raises(CheckpointError, match=r"the pieces of the tensor fc1/kernel "):
            open_weights(tmp_path)


def array_of(shape: Any, dtype: Any, values: Any) -> bytes:
    return b"\x81\xa1a" + extension(1, pack((shape, dtype, values)))


BROKEN_MSGPACK = {
    "empty": (b"", "ends after 0 bytes"),
    "a number": (b"\x03", "not a table of arrays"),
    "no msgpack": (b"\xc1", "not MessagePack at byte 0"),
    "a number as a key": (b"\x81\x01\x01", "key 1, which is no name"),
    "twice": (b"\x82\xa1a\x01\xa1a\x01", "the name 'a' twice"),
    "more behind": (pack({"a": np.ones(2)}) + b"\0\0", "2 bytes follow"),
    "deep": (b"\x81\xa1a" * 5000, "more than 64 deep"),
    "deep lists": (b"\x81\xa1a" + b"\x91" * 5000, "more than 64 deep"),
    "a long name": (b"\x81\xdb\x7f\xff\xff\xff", "a name of 2147483647 bytes"),
    "no text": (b"\x81\xa1\xff\x01", "a name that is no text"),
    "many entries": (b"\xdf\xff\xff\xff\xff\xa1a\x01", "ends after 8 bytes"),
    "values too long": (b"\x81\xa1a\xc9\x7f\xff\xff\xff\x01", "values reach to 2147483656"),
    "no triple": (b"\x81\xa1a" + extension(1, pack([1, 2])), "tensor a is not an array as Flax"),
    "shape": (array_of([-2], "float32", bytes(8)), "tensor a is not an array as Flax"),
    "no shape": (array_of(2, "float32", bytes(8)), "tensor a is not an array as Flax"),
    "values": (array_of([2], "float32", 3), "tensor a is not an array as Flax"),
    "type": (array_of([2], "object", bytes(16)), "tensor a is of the type 'object'"),
    "too few": (array_of([3], "float32", bytes(8)), r"tensor a \(3,\) float32 takes 12 bytes.* 8 "),
    "too many": (array_of([1], "float32", bytes(8)), r"a \(1,\) float32 takes 4 bytes, but 8"),
    # The array's extension ends where its values begin, which read as three entries more.
    "beyond the array": (
        b"\x84\xa1a\xc7\x0a\x01" + pack(([9], "int8", b"\xa1b\x01\xa1c\x01\xa1d\x01")),
        "tensor a is not an array as Flax",
    ),
}


@pytest.mark.parametrize("kind", BROKEN_MSGPACK)
def test_broken_msgpack(kind: str, tmp_path: Path) -> None:
    content, message = BROKEN_MSGPACK[kind]
    path = tmp_path / "flax_model.msgpack"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as error:
        open_weights(tmp_path)
    assert str(error.value).startswith(f"{path}: ")


def test_msgpack_cut_anywhere(tmp_path: Path) -> None:
    whole = pack({"a": {"kernel": np.ones((2, 3), np.float32)}, "b": {"bias": np.ones(4)}})
    path = tmp_path / "flax_model.msgpack"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=r"flax_model\.msgpack: ends after"):
            open_weights(tmp_path)
    path.write_bytes(whole)
    open_weights(tmp_path).close()


def test_two_names_for_one_tensor(tmp_path: Path) -> None:
    write_msgpack(tmp_path / "flax_model.msgpack", {"a/kernel": np.ones(2), "a/scale": np.ones(2)})
    with pytest.raises(CheckpointError, match=r"a/kernel and a/scale both stand for a\.weight"):
        open_weights(tmp_path)
