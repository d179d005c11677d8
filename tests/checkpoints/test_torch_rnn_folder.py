"""Folders with the state dict of a recurrent model from PyTorch: what they say, and errors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file, save_file
from small_models import VARIANTS, covered, make_model, slow_where_compiled, to_numpy, variant

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.npz_file import NpzFile
from keras_s2s.checkpoints.torch_rnn import transforms
from keras_s2s.checkpoints.torch_rnn.reader import TorchRNNFolder
from keras_s2s.config import ConfigError
from keras_s2s.data.batches import Batches
from keras_s2s.model import Seq2SeqLM
from keras_s2s.text.preprocessor import Preprocessor

SPECIAL_IDS = {"source": {"pad": 0}, "target": {"decoder_start": 1, "eos": 2, "pad": 0}}
GATES = {"gru": 3, "lstm": 4, "rnn": 1}

Tensors = dict[str, np.ndarray]


def cells(name: str, cell: str, width: int, units: int, layers: int = 1) -> dict[str, Any]:
    shapes: dict[str, Any] = {}
    rows = GATES[cell] * units
    for i in range(layers):
        shapes |= {
            f"{name}.weight_ih_l{i}": (rows, units if i else width),
            f"{name}.weight_hh_l{i}": (rows, units),
            f"{name}.bias_ih_l{i}": (rows,),
            f"{name}.bias_hh_l{i}": (rows,),
        }
    return shapes


def plain(cell: str = "gru", layers: int = 1) -> dict[str, Any]:
    """Shapes of the tensors of a model without attention."""
    return {
        "encoder.embedding.weight": (11, 5),
        **cells("encoder.rnn", cell, 5, 7, layers),
        "decoder.embedding.weight": (13, 6),
        **cells("decoder.rnn", cell, 6, 7, layers),
        "decoder.fc.weight": (13, 7),
        "decoder.fc.bias": (13,),
    }


def filled(shapes: dict[str, Any]) -> Tensors:
    draw = np.random.default_rng(1)
    return {name: draw.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def write(folder: Path, tensors: Tensors, **said: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    text = yaml.safe_dump({"special_ids": SPECIAL_IDS, **said})
    (folder / "torch_rnn.yaml").write_text(text)
    return folder


def load(folder: Path, **options: Any) -> Seq2SeqLM:
    return Seq2SeqLM.from_preset(folder, verbose=False, **options)


def settings(folder: Path) -> Any:
    found = TorchRNNFolder(folder)
    found.close()
    return found.preset.architecture


# --------------------------------------------------------------------------------------
# Transforms
# --------------------------------------------------------------------------------------

KINDS: dict[str, tuple[Any, list[tuple[int, ...]]]] = {
    "copies": (transforms.Copies(2), [(3, 4)]),
    "matrix": (transforms.Matrix(), [(5, 6)]),
    "gru_matrix": (transforms.Matrix((1, 0, 2)), [(5, 6)]),
    "blocks": (transforms.Matrix((1, 0, 2), (2, 3), (1, 0)), [(5, 6)]),
    "three_blocks": (transforms.Matrix((0,), (2, 3, 4), (2, 0, 1)), [(9, 6)]),
    "column": (transforms.Column(), [(5, 1)]),
    "joint": (transforms.JointMatrix((2, 3), (1, 0)), [(2, 4), (3, 4)]),
    "stacked": (transforms.StackedBiases((1, 0, 2)), [(2, 6)]),
    "summed": (transforms.SummedBiases((0, 1, 2, 3)), [(8,)]),
    "without_effect": (transforms.WithoutEffect((3,)), []),
}


@pytest.mark.parametrize("name", list(KINDS))
def test_what_is_written_reads_as_the_same_weights(name):
    transform, shapes = KINDS[name]
    weights = [np.random.default_rng(2).normal(size=s).astype("float32") for s in shapes]
    tensors = transform.write(weights)
    again = transform.read(tensors)
    assert len(again) == len(weights)
    for one, two in zip(again, weights, strict=True):
        np.testing.assert_array_equal(one, two)
    if name not in ("summed", "without_effect"):  # the others keep every stored number
        for one, two in zip(transform.write(again), tensors, strict=True):
            np.testing.assert_array_equal(one, two)


def test_gates_of_a_gru():
    """Rows of reset, update and candidate there become columns of update, reset, candidate here."""
    reset, update, candidate = (np.full((2, 3), value, "float32") for value in (1, 2, 3))
    (kernel,) = transforms.Matrix((1, 0, 2)).read([np.concatenate([reset, update, candidate])])
    assert kernel[0].tolist() == [2, 2, 1, 1, 3, 3]


def test_the_sum_of_half_precision_biases_is_kept():
    biases = [np.array([value], "float16") for value in (1.0, 2**-12)]
    (bias,) = transforms.SummedBiases().read(biases)
    assert bias[0] == np.float32(1 + 2**-12)


# --------------------------------------------------------------------------------------
# What shapes tell
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_architecture_of_shapes(cell, tmp_path):
    architecture = settings(write(tmp_path, filled(plain(cell, 3))))
    for side, dim in ((architecture.encoder, 5), (architecture.decoder, 6)):
        found = (side.cell, side.num_layers, side.hidden_dim, side.embedding.dim, side.use_bias)
        assert found == (cell, 3, 7, dim, True)
    assert (architecture.source_vocab_size, architecture.target_vocab_size) == (11, 13)
    assert architecture.bridge.type == "copy"
    assert architecture.decoder.context == "initial_state"
    assert architecture.output.bias and not architecture.output.tie_embeddings


def test_what_is_stated_is_not_derived(tmp_path):
    said = {"shared": {"dropout": 0.3}, "encoder": {"embedding": {"dropout": 0.5, "scale": True}}}
    architecture = settings(write(tmp_path, filled(plain()), architecture=said))
    assert architecture.encoder.dropout == architecture.decoder.dropout == 0.3
    assert architecture.encoder.embedding.model_dump(include={"dim", "dropout", "scale"}) == {
        "dim": 5,
        "dropout": 0.5,
        "scale": True,
    }


@slow_where_compiled
def test_equal_tables_are_tied(tmp_path):
    shapes = {**plain(), "encoder.embedding.weight": (13, 7), "decoder.embedding.weight": (13, 7)}
    shapes |= {**cells("encoder.rnn", "gru", 7, 7), **cells("decoder.rnn", "gru", 7, 7)}
    tensors = filled(shapes)
    for name in ("decoder.embedding.weight", "decoder.fc.weight"):
        tensors[name] = tensors["encoder.embedding.weight"]
    model = load(write(tmp_path / "all", tensors))
    architecture = model.preset.architecture
    assert architecture.share_embeddings and architecture.output.tie_embeddings
    assert model.load_report.tied == (
        "decoder.embedding.weight = encoder.embedding.weight",
        "decoder.fc.weight = encoder.embedding.weight",
    )
    model.export(tmp_path / "out", format="torch_rnn")
    assert set(load_file(tmp_path / "out" / "model.safetensors")) == set(tensors)

    # Stored once, as safetensors' own function for modules stores them, or under one name.
    once = {k: v for k, v in tensors.items() if k not in model_names(model)}
    said = {"share_embeddings": True, "output": {"tie_embeddings": True}}
    again = load(write(tmp_path / "once", once, architecture=said))
    assert again.count_params() == model.count_params()

    tensors["decoder.fc.weight"] = tensors["decoder.fc.weight"] + 1
    with pytest.raises(CheckpointError, match=r"different values: encoder\.embedding\.weight and"):
        load(write(tmp_path / "different", tensors, architecture=said))


def model_names(model: Seq2SeqLM) -> set[str]:
    """Names that the report calls tied to another."""
    return {line.split(" = ")[0] for line in model.load_report.tied}


# --------------------------------------------------------------------------------------
# What is asked for
# --------------------------------------------------------------------------------------


def with_attention(**changes: Any) -> dict[str, Any]:
    return {
        **plain(),
        **cells("decoder.rnn", "gru", 6 + 7, 7),
        "decoder.attention.attn.weight": (3, 14),
        "decoder.attention.attn.bias": (3,),
        "decoder.attention.v.weight": (1, 3),
        **changes,
    }


ASKED: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    (plain("rnn"), {}, ["architecture.encoder.activation: tanh or relu", "decoder.activation"]),
    (plain(), {"special_ids": {}}, ["special_ids.target.eos", "special_ids.source.pad"]),
    (
        {**plain(), "encoder.fc.weight": (7, 7), "encoder.fc.bias": (7,)},
        {},
        ["architecture.bridge.activation: linear, tanh or relu"],
    ),
    (
        {**plain(), **cells("decoder.rnn", "gru", 6 + 7, 7)},
        {},
        ["architecture.decoder.context: every_step", "architecture.bridge.type"],
    ),
    (
        {**plain(), **cells("decoder.rnn", "gru", 6 + 7, 7)},
        {"architecture": {"decoder": {"context": "attention"}, "bridge": {"type": "zero"}}},
        ["architecture.decoder.attention.score: dot, or name"],
    ),
    (
        with_attention(**{"decoder.fc.weight": (13, 14)}),
        {},
        ["architecture.decoder.attention.query: previous", "architecture.bridge.type: copy"],
    ),
    (
        with_attention(),
        {"architecture": {"bridge": {"type": "copy"}}},
        [
            "modules.decoder.rnn.inputs: missing; it reads embedding (6) and context (7)",
            "modules.attention.joint.inputs: missing; it reads query (7) and keys (7)",
        ],
    ),
    (
        {
            **plain("gru", 2),
            "encoder.fc.weight": (7, 7),
            "encoder.fc.bias": (7,),
        },
        {"architecture": {"bridge": {"activation": "tanh"}}},
        ["architecture.bridge.reads: top or own"],
    ),
    (
        {name.replace("encoder.rnn", "encoder.recurrence"): s for name, s in plain().items()},
        {},
        [
            "modules.encoder.rnn: not found; usual names are encoder.rnn",
            "the weights have decoder.embedding, decoder.fc, decoder.rnn, encoder.embedding, enc",
        ],
    ),
    (
        plain(),
        {"modules": {"encoder.rnn": "encoder.rnm"}},
        ["modules.encoder.rnn: encoder.rnm: the weights have no such module; did you mean"],
    ),
    (
        {**plain(), **cells("encoder.lstm", "lstm", 5, 7)},
        {},
        ["modules.encoder.rnn: encoder.rnn and encoder.lstm could both be meant"],
    ),
]


@pytest.mark.parametrize(("shapes", "said", "parts"), ASKED)
def test_what_shapes_do_not_tell_is_asked_for(shapes, said, parts, tmp_path):
    with pytest.raises(CheckpointError) as error:
        load(write(tmp_path, filled(shapes), **said))
    assert "torch_rnn.yaml" in str(error.value)
    for part in parts:
        assert part in str(error.value)


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({**plain(), "decoder.extra.weight": (3, 3)}, {}, "unexpected: decoder.extra.weight"),
    (
        {**plain("lstm"), "encoder.rnn.weight_hr_l0": (3, 7)},
        {},
        "unexpected: encoder.rnn.weight_hr",
    ),
    (
        {**plain(), "encoder.rnn.weight_hh_l0": (15, 7)},
        {},
        r"encoder.rnn.weight_hh_l0 has the shape \(15, 7\); its rows are as many",
    ),
    (
        {**plain(), "decoder.fc.bias": (12,)},
        {},
        r"wrong shape: .*fc.bias .* should be \(13,\)",
    ),
    (
        plain(),
        {"architecture": {"shared": {"num_layers": 2}}},
        "missing: encoder.rnn.weight_ih_l1",
    ),
    (
        {**plain(), "decoder.rnn.weight_hh_l0_reverse": (21, 7)},
        {},
        "a decoder writes in one direction",
    ),
    (
        {**plain(), "decoder.concat.weight": (7, 7), "decoder.concat.bias": (7,)},
        {"architecture": {"decoder": {"context": "initial_state"}}},
        "modules.decoder.readout: the architecture has no such part",
    ),
    (
        with_attention(),
        {
            "architecture": {"bridge": {"type": "copy"}},
            "modules": {
                "decoder.rnn": {"name": "decoder.rnn", "inputs": ["embedding", "feed"]},
                "attention.joint": {
                    "name": "decoder.attention.attn",
                    "inputs": ["query", "keys"],
                },
            },
        },
        "modules.decoder.rnn.inputs: embedding, feed; expected embedding, context",
    ),
    (
        plain(),
        {"architecture": {"encoder": {"embedding": {"norm": True}}}},
        "architecture.encoder.embedding.norm: True has no module",
    ),
    (plain(), {"weights": "../model.safetensors"}, "nothing outside of it is read"),
    (plain(), {"weights": "model.onnx"}, "expected a file that ends in .safetensors"),
    (plain(), {"weights": "other.pt"}, "there is no file other.pt"),
    (plain(), {"state_dict": "model"}, "state_dict: model is for files that PyTorch wrote"),
]


@pytest.mark.parametrize(("shapes", "said", "message"), REFUSED)
def test_what_does_not_fit_is_refused(shapes, said, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        load(write(tmp_path, filled(shapes), **said))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"module": {}}, r"torch_rnn\.yaml: .*\n  module: unknown key; did you mean 'modules'"),
        ({"modules": {"encoder.rnns": "a"}}, r"modules.*encoder\.rnn"),
        ({"modules": {"encoder.rnn": {}}}, "give the name of a module, or its tensors"),
        ({"architecture": {"encoder": {"cells": "gru"}}}, "architecture.encoder.cells: unknown"),
        (
            {"architecture": {"shared": 3}},
            r"torch_rnn.yaml: architecture.shared: expected a mapping",
        ),
        ({"architecture": {"output": 3}}, r"architecture.output: "),
        ({"architecture": {"bridge": 3}}, r"architecture.bridge: "),
        (
            {"special_ids": {**SPECIAL_IDS, "target": {"decoder_start": 99, "eos": 2, "pad": 0}}},
            "99",
        ),
    ],
)
def test_settings_that_are_not_valid(said, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        load(write(tmp_path, filled(plain()), **said))


@slow_where_compiled
def test_strict_false(tmp_path):
    tensors = filled({**plain(), "decoder.extra.weight": (3, 3)})
    del tensors["decoder.rnn.bias_hh_l0"]
    folder = write(tmp_path, tensors)
    with pytest.raises(CheckpointError, match=r"modules.decoder.rnn: decoder.rnn has no bias_hh"):
        load(folder, strict=False)
    folder = write(tmp_path, filled({**plain(), "decoder.extra.weight": (3, 3)}))
    report = load(folder, strict=False).load_report
    assert report.unused == ("decoder.extra.weight",)
    assert report.fresh == ()


def test_values_that_are_not_finite(tmp_path):
    tensors = filled(plain())
    tensors["decoder.rnn.bias_hh_l0"][2] = np.nan
    with pytest.raises(CheckpointError, match=r"bias_ih_l0 \+ decoder.rnn.bias_hh_l0: 1 of"):
        load(write(tmp_path, tensors))


# --------------------------------------------------------------------------------------
# Files
# --------------------------------------------------------------------------------------


def same_weights(one: Seq2SeqLM, other: Seq2SeqLM) -> bool:
    return all(
        np.array_equal(to_numpy(a.value), to_numpy(b.value))
        for a, b in zip(one.weights, other.weights, strict=True)
    )


@slow_where_compiled
def test_files_of_every_kind(tmp_path):
    import torch

    tensors = filled(plain("lstm"))
    expected = load(write(tmp_path / "safetensors", tensors))

    def folder(name: str, **said: Any) -> Path:
        path = write(tmp_path / name, tensors, **said)
        (path / "model.safetensors").unlink()
        return path

    def as_torch(part: str = "") -> dict[str, Any]:
        return {
            name.removeprefix(part): torch.from_numpy(array.copy())
            for name, array in tensors.items()
            if name.startswith(part)
        }

    path = folder("npz")
    np.savez(path / "model.npz", **tensors)
    assert same_weights(load(path), expected)

    path = folder("two", weights={"encoder": "encoder.pt", "decoder": "decoder.pth"})
    torch.save(as_torch("encoder."), path / "encoder.pt")
    torch.save(as_torch("decoder."), path / "decoder.pth")
    assert same_weights(load(path), expected)

    path = folder("parallel", prefix="module.")
    torch.save({f"module.{k}": v for k, v in as_torch().items()}, path / "model.pt")
    model = load(path)
    assert same_weights(model, expected)
    model.export(tmp_path / "written", format="torch_rnn")
    assert "module.decoder.fc.bias" in load_file(tmp_path / "written" / "model.safetensors")
    assert same_weights(load(tmp_path / "written"), expected)

    path = folder("training")
    torch.save({"epoch": 3, "model": as_torch(), "optimizer": {"state": {}}}, path / "last.pt")
    with pytest.raises(CheckpointError, match=r"under the keys model \(.* `state_dict: KEY`"):
        load(path)
    (path / "torch_rnn.yaml").write_text(
        yaml.safe_dump({"special_ids": SPECIAL_IDS, "state_dict": "model"})
    )
    assert same_weights(load(path), expected)
    torch.save(as_torch(), path / "second.pt")
    with pytest.raises(CheckpointError, match=r"weights: last.pt and second.pt are here; name"):
        load(path)


class Trap:
    def __reduce__(self):
        return (Path.touch, (Path("trap-was-run"),))


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    folder = write(tmp_path / "pt", filled(plain()))
    (folder / "model.safetensors").unlink()
    torch.save({"encoder": Trap()}, folder / "model.pt")
    with pytest.raises(CheckpointError, match="holds more than tensors"):
        load(folder)
    folder = write(tmp_path / "npz", filled(plain()))
    (folder / "model.safetensors").unlink()
    np.savez(folder / "model.npz", trap=np.array([Trap()], dtype=object))
    with pytest.raises(CheckpointError, match="the array trap is of the type object"):
        load(folder)
    assert not (tmp_path / "trap-was-run").exists()


def test_broken_npz_files(tmp_path):
    path = tmp_path / "model.npz"
    np.savez_compressed(path, a=np.arange(6.0).reshape(2, 3))
    file = NpzFile(path)
    assert file.specs["a"] == ((2, 3), "float64")
    np.testing.assert_array_equal(file.read("a"), [[0, 1, 2], [3, 4, 5]])
    file.close()
    content = path.read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 3):
        path.write_bytes(content[:size])
        with pytest.raises(CheckpointError, match=r"model\.npz"):
            NpzFile(path)
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            file = NpzFile(path)
            file.read(next(iter(file.specs), "a"))
        except CheckpointError:
            continue
        except KeyError:
            assert not file.specs


# --------------------------------------------------------------------------------------
# The way back, and the report
# --------------------------------------------------------------------------------------

REPRESENTABLE = sorted(
    name
    for name, config in VARIANTS.items()
    if config.architecture.encoder.type == config.architecture.decoder.type == "recurrent"
    and not config.architecture.encoder.embedding.norm
)


def test_the_variants_are_many():
    assert len(REPRESENTABLE) >= 7


@pytest.mark.parametrize("name", covered(REPRESENTABLE, REPRESENTABLE[:2]))
def test_models_made_here(name, tmp_path):
    model = make_model(VARIANTS[name], seed=4)
    model.export(tmp_path / "out", format="torch_rnn")
    again = load(tmp_path / "out")
    assert same_weights(again, model)
    assert again.preset.architecture == model.preset.architecture
    assert again.preset.special_ids == model.preset.special_ids


def test_a_network_that_has_no_such_modules(tmp_path):
    for name, message in (
        ("transformer_encoder_recurrent_decoder", "encoder.type: transformer has no module"),
        ("rnn_every_step", "encoder.embedding.norm: True has no module"),
    ):
        with pytest.raises(CheckpointError, match=message):
            make_model(VARIANTS[name]).export(tmp_path / "out", format="torch_rnn")
        assert not (tmp_path / "out").exists()


def test_the_report(tmp_path):
    report = load(write(tmp_path, filled(plain("lstm", 2)))).load_report
    assert len(report.loaded) == len(plain("lstm", 2))
    text = str(report)
    assert "recurrent, " in text and "20 tensors (float32) from model.safetensors" in text
    assert (
        "the shapes and torch_rnn.yaml tell: encoder 2 layers of 7 LSTM units; decoder 2 layers of "
        "7 LSTM units, which reads the source as its first state alone; bridge copy" in text
    )
    assert "4 pairs of biases that PyTorch adds (encoder.rnn.bias_ih_l0 + enc" in text
    assert report.fresh == report.unused == report.tied == ()


@slow_where_compiled
def test_a_tokenizer_goes_along_and_training_is_written(tmp_path):
    pairs = [("abc", "xyz"), ("ba", "yx"), ("cab", "zxy")]
    text = Preprocessor.train(pairs, "character")
    shapes = copy.deepcopy(plain())
    sizes = text.source.vocabulary_size, text.target.vocabulary_size
    shapes["encoder.embedding.weight"] = (sizes[0], 5)
    for name, width in (("decoder.embedding.weight", (6,)), ("decoder.fc.weight", (7,))):
        shapes[name] = (sizes[1], *width)
    shapes["decoder.fc.bias"] = (sizes[1],)
    ids = text.special_ids.model_dump(exclude_none=True)
    folder = write(tmp_path / "theirs", filled(shapes), special_ids=ids)
    model = load(folder, preprocessor=text)
    before = [to_numpy(v.value).copy() for v in model.weights]
    model.fit(Batches(pairs, text, batch_size=3), epochs=1, verbose=0)
    assert all((a != to_numpy(b.value)).any() for a, b in zip(before, model.weights, strict=True))
    model.export(tmp_path / "ours", format="torch_rnn")
    again = load(tmp_path / "ours")
    assert again.generate(["abc", "ba"]) == model.generate(["abc", "ba"])
    model.save_to_preset(tmp_path / "preset")
    kept = load(tmp_path / "preset")
    kept.export(tmp_path / "third", format="torch_rnn")
    assert set(load_file(tmp_path / "third" / "model.safetensors")) == set(shapes)


def test_a_folder_without_the_description(tmp_path):
    save_file(filled(plain()), tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"torch_rnn\.yaml"):
        load(tmp_path)


MUTATIONS: list[Callable[[Any], Any]] = [
    lambda value: None,
    lambda value: [value],
    lambda value: {"a": value},
    lambda value: -1,
    lambda value: 10**12,
    lambda value: "x",
    lambda value: True,
]


@slow_where_compiled
def test_whatever_the_description_says_the_error_is_ours(tmp_path):
    """Every value is replaced by others: the folder loads, or is refused with our errors."""
    description: dict[str, Any] = {
        "weights": "model.safetensors",
        "modules": {"decoder.output": {"name": "decoder.fc", "inputs": ["hidden"]}},
        "architecture": {"encoder": {"dropout": 0.1}, "bridge": {"type": "copy"}},
        "special_ids": SPECIAL_IDS,
        "generation": {"max_length": 9},
    }
    tensors, tried = filled(plain()), 0
    folder = write(tmp_path, tensors, **description)
    settings(folder)

    def places(data: Any, above: tuple[Any, ...] = ()) -> Any:
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield (*above, key)
            if isinstance(value, dict | list):
                yield from places(value, (*above, key))

    for place in list(places(description)):
        for mutate in MUTATIONS:
            changed = copy.deepcopy(description)
            owner = changed
            for key in place[:-1]:
                owner = owner[key]
            owner[place[-1]] = mutate(owner[place[-1]])
            (folder / "torch_rnn.yaml").write_text(yaml.safe_dump(changed))
            tried += 1
            try:
                settings(folder)
            except (ConfigError, CheckpointError):
                continue
    assert tried > 100


@slow_where_compiled
def test_a_model_of_both_ways_is_written_with_both():
    config = variant(
        {
            "encoder": {
                "type": "recurrent",
                "cell": "gru",
                "hidden_dim": 4,
                "num_layers": 2,
                "bidirectional": True,
            },
            "decoder": {"type": "recurrent", "cell": "gru", "hidden_dim": 8, "num_layers": 2},
            "bridge": {"type": "copy"},
        }
    )
    from keras_s2s.checkpoints.torch_rnn.key_table import KeyTable
    from keras_s2s.checkpoints.torch_rnn.writer import usual_modules

    table = KeyTable(config.architecture, usual_modules(config.architecture))
    names = {name for entry in table.entries for name in entry.theirs}
    assert {"encoder.rnn.weight_ih_l1_reverse", "encoder.rnn.bias_hh_l0"} <= names
    assert {path for entry in table.entries for path in entry.ours} == {
        variable.path for variable in make_model(config).weights
    }


SPOILT: dict[str, Callable[[np.ndarray], np.ndarray | None]] = {
    "missing": lambda array: None,
    "one axis": lambda array: array.reshape(-1),
    "three axes": lambda array: array[None, None],
    "turned": lambda array: np.ascontiguousarray(array.T),
    "a row less": lambda array: array[:-1],
    "a row": lambda array: array[:1],
    "empty": lambda array: array[:0],
    "whole numbers": lambda array: array.astype("int32"),
    "another name": lambda array: array,
}

SPOILT_MODELS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": (plain("lstm", 2), {}),
    "attention": (
        {**with_attention(), "encoder.fc.weight": (7, 7), "encoder.fc.bias": (7,)},
        {
            "modules": {
                "decoder.rnn": {"name": "decoder.rnn", "inputs": ["embedding", "context"]},
                "attention.joint": {"name": "decoder.attention.attn", "inputs": ["query", "keys"]},
            },
            "architecture": {"bridge": {"activation": "tanh"}},
        },
    ),
}


@slow_where_compiled
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", list(SPOILT_MODELS))
def test_whatever_the_tensors_are_the_error_is_ours(name, strict, tmp_path):
    """Each tensor is left out, renamed or changed: it is refused with an error of ours."""
    shapes, said = SPOILT_MODELS[name]
    tensors, tried = filled(shapes), 0
    folder = write(tmp_path, tensors, **said)
    settings(folder)
    for spoilt in tensors:
        for how, change in SPOILT.items():
            other = {key: value for key, value in tensors.items() if key != spoilt}
            array = change(tensors[spoilt])
            if array is not None:
                if (
                    how != "another name"
                    and array.shape == tensors[spoilt].shape
                    and (array.dtype == "float32")
                ):
                    continue
                other[spoilt + ("_2" if how == "another name" else "")] = array
            save_file(other, folder / "model.safetensors")
            tried += 1
            try:
                found = TorchRNNFolder(folder)
                found.check(strict=strict)
            except (ConfigError, CheckpointError):
                continue
            found.close()
            # A bias less, or another vocabulary, is another model that is valid.
            allowed = how == "missing" and spoilt.endswith("bias")
            allowed = allowed or (how.startswith("a row") and spoilt == "encoder.embedding.weight")
            assert allowed or not strict, (spoilt, how)
    assert tried > 100
