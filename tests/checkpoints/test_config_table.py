"""Keys of config.json to ours and back, for every family of the zoo."""

from __future__ import annotations

import pytest
from parity.random_checkpoints import all_cases, families
from small_models import slow_where_compiled

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.huggingface.config_table import read_keys, write_keys
from keras_s2s.checkpoints.huggingface.family import ConfigRule, family_tables

RULES = {
    "width": ConfigRule(to="shared.hidden_dim", default=8),
    "act": ConfigRule(
        to=("shared.activation", "shared.gated"),
        default="relu",
        values={
            "relu": ["relu", False],
            "gated-silu": ["silu", True],
            "gated-swish": ["silu", True],
        },
    ),
    "depth": ConfigRule(to="encoder.num_layers", default=2),
    "decoder_depth": ConfigRule(to="decoder.num_layers", default_of="depth"),
    "pad": ConfigRule(to=("special_ids.source.pad", "shared.embedding.position_offset + 1")),
}


@slow_where_compiled
def test_read():
    settings = read_keys(RULES, {"width": 6, "act": "gated-swish", "depth": 3, "pad": 1}, "f")
    encoder, decoder = (settings["architecture"][side] for side in ("encoder", "decoder"))
    assert encoder["hidden_dim"] == decoder["hidden_dim"] == 6
    assert (encoder["activation"], decoder["gated"]) == ("silu", True)
    assert (encoder["num_layers"], decoder["num_layers"]) == (3, 3)
    assert settings["special_ids"]["source"]["pad"] == 1
    assert encoder["embedding"]["position_offset"] == 2


@slow_where_compiled
def test_defaults_where_a_folder_is_silent_or_null():
    settings = read_keys(RULES, {"width": None, "pad": 0}, "f")
    assert settings["architecture"]["decoder"]["hidden_dim"] == 8
    assert settings["architecture"]["decoder"]["num_layers"] == 2


@slow_where_compiled
def test_unknown_value_names_file_key_and_value():
    with pytest.raises(CheckpointError, match=r"config\.json: act is 'tanh'.*relu, gated-silu"):
        read_keys(RULES, {"act": "tanh"}, "config.json")


@slow_where_compiled
def test_written_as_it_was():
    for config in (
        {"width": 6, "act": "gated-swish", "depth": 3, "pad": 1},
        {"width": 6, "act": "relu", "depth": 3, "decoder_depth": 1, "pad": 4},
        {"act": "gated-silu", "pad": 1},
    ):
        assert write_keys(RULES, read_keys(RULES, config, "f"), config) == config


@slow_where_compiled
def test_changed_settings_are_written():
    config = {"width": 6, "act": "gated-swish", "depth": 3, "pad": 1}
    settings = read_keys(RULES, config, "f")
    for side in ("encoder", "decoder"):
        settings["architecture"][side]["activation"] = "relu"
        settings["architecture"][side]["gated"] = False
    assert write_keys(RULES, settings, config)["act"] == "relu"


@slow_where_compiled
@pytest.mark.parametrize("family", families())
def test_every_family_reads_what_it_writes(family):
    rules = family_tables(family).config
    for name, case in all_cases():
        if name == family:
            from parity.random_checkpoints import SMALL_IDS, cases

            config = {**SMALL_IDS.get(family, {}), **cases(family)[case]}
            settings = read_keys(rules, config, "f")
            assert read_keys(rules, write_keys(rules, settings, None), "f") == settings
