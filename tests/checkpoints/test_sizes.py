"""Sizes are held against the tensors before memory is taken for them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkpoints.changed_folders import change
from parity.random_checkpoints import families, make, save
from small_models import (
    VARIANTS,
    architectures,
    checkpoint_of_each_family,
    make_model,
    shrunken_preset,
    slow_where_compiled,
)

from keras_s2s import Seq2SeqLM
from keras_s2s import model as model_module
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.huggingface.family import family_tables
from keras_s2s.checkpoints.variable_shapes import variable_shapes
from keras_s2s.config import ConfigError
from keras_s2s.network_size import smallest_count

transformers = pytest.importorskip("transformers")

#: What no size is, or not that of these tensors.
STRANGE = [2**31 - 1, 2**31, 2**63, 10**30, 0, -1, 12.5, float("nan"), "12", True, [12], {}]
SIZES = {"bart": ["vocab_size", "d_model", "decoder_ffn_dim", "max_position_embeddings"]}
SIZES["bart"] += ["encoder_layers", "decoder_layers", "encoder_attention_heads"]
SIZES["t5"] = ["vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers"]
SIZES["t5"] += ["num_heads", "relative_attention_num_buckets", "relative_attention_max_distance"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {
        family: save(make(family, "shallow"), tmp_path_factory.mktemp(family)) for family in SIZES
    }


@pytest.fixture
def nothing_is_made(monkeypatch):
    """Fails where a network is built."""

    def build(*_: Any) -> None:
        raise AssertionError("a network was made")

    monkeypatch.setattr(model_module, "build_network", build)


def test_every_size_is_tried():
    assert {"bart", "t5"} <= set(families())
    for family, keys in SIZES.items():
        assert set(keys) <= set(family_tables(family).config)


@slow_where_compiled
@pytest.mark.parametrize(
    ("family", "key"), [(family, key) for family, keys in SIZES.items() for key in keys]
)
def test_no_size_of_a_folder_takes_memory(folders, tmp_path, nothing_is_made, family, key):
    folder = Path(shutil.copytree(folders[family], tmp_path / "copy"))
    for value in STRANGE:
        if key == "relative_attention_max_distance" and value == 2**31 - 1:
            continue  # it has no tensor, and may be that large
        change(folder, **{key: value})
        with pytest.raises((CheckpointError, ConfigError), match=r"config\.json"):
            Seq2SeqLM.from_preset(folder, verbose=False)


@slow_where_compiled
@pytest.mark.parametrize("name", ["transformer_tiny", "gru_bahdanau"])
def test_no_size_of_an_own_folder_takes_memory(tmp_path, monkeypatch, name):
    make_model(shrunken_preset(name)).save_to_preset(tmp_path)

    def build(*_: Any) -> None:
        raise AssertionError("a network was made")

    monkeypatch.setattr(model_module, "build_network", build)
    path = tmp_path / "preset.yaml"
    before = yaml.safe_load(path.read_text())
    paths = [("source_vocab_size",), ("decoder", "hidden_dim"), ("encoder", "num_layers")]
    for keys in paths:
        for value in (2**31 - 1, 2**63, 1000, 0, 1.5, True):
            data = yaml.safe_load(json.dumps(before))
            part = data["architecture"]
            for key in keys[:-1]:
                part = part[key]
            part[keys[-1]] = value
            path.write_text(yaml.safe_dump(data))
            with pytest.raises((CheckpointError, ConfigError)):
                Seq2SeqLM.from_preset(tmp_path)


def test_without_weights_memory_is_the_limit(nothing_is_made):
    for sizes in (
        {"source_vocab_size": 2**31 - 1, "target_vocab_size": 2**31 - 1},
        {"shared": {"intermediate_dim": 2**31 - 1}},
    ):
        with pytest.raises(ConfigError, match=r"memory cannot hold"):
            Seq2SeqLM.from_preset("transformer_tiny", load_weights=False, architecture=sizes)


PRESETS = {name: shrunken_preset(name) for name in [*architectures(), *checkpoint_of_each_family()]}


@slow_where_compiled
@pytest.mark.parametrize("name", [*PRESETS, *VARIANTS])
def test_shapes_are_those_of_the_network(name):
    config = {**PRESETS, **VARIANTS}[name]
    model = make_model(config)
    shapes = {variable.path: tuple(variable.shape) for variable in model.weights}
    told = variable_shapes(config.architecture)
    assert told is None or told == shapes
    assert 0.25 * model.count_params() < smallest_count(config.architecture) < model.count_params()
