"""Presets with differences: every mistake names the place where it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_s2s.catalog import load_preset
from keras_s2s.config import ConfigError
from keras_s2s.preset_changes import from_description, with_changes, with_preprocessor
from keras_s2s.text import Preprocessor

SIDE = {"type": "recurrent", "cell": "gru", "hidden_dim": 8}
ARCHITECTURE = {
    "source_vocab_size": 9,
    "target_vocab_size": 9,
    "shared": SIDE,
    "bridge": {"type": "copy"},
}


def test_differences_win_and_the_declared_count_goes():
    base = load_preset("gru_bahdanau")
    config = with_changes(base, {"shared": {"hidden_dim": 8}}, None, origin="gru_bahdanau")
    assert config.architecture.encoder.hidden_dim == config.architecture.decoder.hidden_dim == 8
    assert config.architecture.encoder.bidirectional
    assert (base.parameters is None, config.parameters is None) == (False, True)


def test_a_side_of_another_type_has_what_both_types_have():
    base = load_preset("transformer_tiny")
    change = {"decoder": {"type": "ssru", "num_layers": 2}}
    found = with_changes(base, change, None, origin="transformer_tiny").architecture
    assert (found.decoder.type, found.decoder.num_layers) == ("ssru", 2)
    for name in ("hidden_dim", "intermediate_dim", "num_heads", "norm_order", "dropout"):
        assert getattr(found.decoder, name) == getattr(base.architecture.decoder, name)
    assert found.encoder == base.architecture.encoder
    # What the other type does not have is no secret.
    with_ones = with_changes(
        base, {"decoder": {"relative_positions": {"num_buckets": 4}}}, None, origin="x"
    )
    with pytest.raises(ConfigError, match=r"architecture\.decoder\.\w+: unknown key"):
        with_changes(with_ones, {"decoder": {"type": "recurrent", "cell": "gru"}}, None, origin="x")


@pytest.mark.parametrize(
    ("architecture", "line"),
    [
        ({"shared": {"hiden_dim": 8}}, "architecture.shared.hiden_dim: unknown key; did you mean"),
        ({"shared": {"cell": "gur"}}, "architecture.shared.cell: expected 'gru', 'lstm' or 'rnn'"),
        ({"encoder": {"hiden_dim": 8}}, "architecture.encoder.hiden_dim: unknown key"),
        ({"bridge": {"type": "copy"}}, "architecture.bridge.type: copy needs equal states"),
        (
            {"decoder": {"attention": {"score": "dot"}}},
            "architecture.decoder.attention.score: dot needs equal widths",
        ),
    ],
)
def test_wrong_differences(architecture, line):
    with pytest.raises(ConfigError) as error:
        with_changes(load_preset("gru_bahdanau"), architecture, None, origin="gru_bahdanau")
    first, only = str(error.value).splitlines()
    assert first.startswith("gru_bahdanau: ")
    assert only.startswith(f"  {line}")


def test_a_description_in_a_file(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    side = "{type: recurrent, cell: gru, hidden_dim: 8}"
    text = f"shared: {side}\nsource_vocab_size: 9\ntarget_vocab_size: 9\nbridge: {{type: copy}}\n"
    path.write_text(text)
    config = from_description(path, None, None)
    assert config.architecture == from_description(ARCHITECTURE, None, None).architecture

    path.write_text(text + "encoder: {bidirectional: true}\n")
    with pytest.raises(ConfigError) as error:
        from_description(path, None, None)
    first, only = str(error.value).splitlines()
    assert first.startswith(f"{path}: ")
    assert only.startswith("  architecture.bridge.type: copy needs equal states")

    path.write_text(text.replace("hidden_dim", "hidden_dims"))
    with pytest.raises(ConfigError) as error:
        from_description(path, None, None)
    assert "\n  architecture.shared.hidden_dims: unknown key; " in str(error.value)


def test_a_typo_in_a_base_names_the_base(tmp_path: Path):
    base = tmp_path / "base.yaml"
    base.write_text("base: gru_bahdanau\narchitecture: {shared: {dropuot: 0.5}}\n")
    with pytest.raises(ConfigError) as error:
        from_description({"base": str(base)}, None, None)
    _, only = str(error.value).splitlines()
    assert only.startswith("  architecture.shared.dropuot: ")
    assert only.endswith(f"[from {base}]")


def test_a_preprocessor_sets_sizes_and_ids():
    text = Preprocessor.train([("abc", "xy"), ("bcd", "yz")], "character")
    config = from_description({**ARCHITECTURE, "source_vocab_size": 99}, text, None)
    assert config.architecture.source_vocab_size == text.source.vocabulary_size
    assert config.architecture.target_vocab_size == text.target.vocabulary_size
    assert config.special_ids == text.special_ids


def test_a_preprocessor_of_another_model_is_refused():
    """Its targets would begin or end otherwise than those the network generates."""
    text = Preprocessor.train([("abc", "cba")], "character", joint=True)
    ids = text.special_ids.model_dump()
    ids["target"]["forced_eos"] = ids["target"]["eos"]
    config = from_description(ARCHITECTURE, text, ids)
    assert with_preprocessor(config, text) == config, "forced ids that it leaves open stay"
    for name in ("decoder_start", "eos"):
        changed = {**ids, "target": {**ids["target"], name: 1}}
        config = from_description(ARCHITECTURE, text, changed)
        message = (
            rf"special_ids\.target\.{name} is {ids['target'][name]} in the preprocessor, but 1"
        )
        with pytest.raises(ValueError, match=message):
            with_preprocessor(config, text)
