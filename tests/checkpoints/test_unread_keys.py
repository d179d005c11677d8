"""Keys of config.json: those that matter are followed, refused or reported, never passed over."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints.changed_folders import change
from parity.random_checkpoints import families, make, save
from small_models import slow_where_compiled

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.huggingface.family import family_tables, unread_keys
from keras_s2s.checkpoints.huggingface.reader import HuggingFaceFolder
from keras_s2s.config import ConfigError

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folder of a family, made once; a copy of it to change."""
    known: dict[str, Path] = {}

    def get(family: str, tmp_path: Path) -> Path:
        if family not in known:
            known[family] = save(make(family, "shallow"), tmp_path_factory.mktemp(family))
        return Path(shutil.copytree(known[family], tmp_path / family))

    return get


def scale_of(folder: Path) -> bool:
    with HuggingFaceFolder(folder) as opened:
        return opened.preset.architecture.output.scale


def notes_of(folder: Path) -> list[str]:
    with HuggingFaceFolder(folder) as opened:
        return opened.notes


@slow_where_compiled
@pytest.mark.parametrize("family", ["t5", "umt5"])
@pytest.mark.parametrize(
    ("keys", "scaled"),
    [
        (dict(tie_word_embeddings=True, scale_decoder_outputs=True), True),
        (dict(tie_word_embeddings=True, scale_decoder_outputs=False), False),
        (dict(tie_word_embeddings=True, scale_decoder_outputs=...), True),
        (dict(tie_word_embeddings=..., scale_decoder_outputs=...), True),
        # transformers 4 wrote one key for both.
        (dict(tie_word_embeddings=False, scale_decoder_outputs=...), False),
    ],
)
def test_scale_of_the_outputs(folders, tmp_path, family, keys, scaled):
    folder = folders(family, tmp_path)
    change(folder, **keys)
    assert scale_of(folder) is scaled
    there = transformers.AutoConfig.from_pretrained(folder)
    assert there.scale_decoder_outputs is scaled


@slow_where_compiled
@pytest.mark.parametrize("family", families())
def test_transformers_writes_no_key_that_is_unknown(folders, tmp_path, family):
    """Nor does any of its defaults ask for what is not done here, but for dropping layers."""
    folder = folders(family, tmp_path)
    written = json.loads((folder / "config.json").read_text())
    everything = transformers.AutoConfig.from_pretrained(folder).to_dict()
    change(folder, **{key: value for key, value in everything.items() if key not in written})
    notes = [note for note in notes_of(folder) if "layerdrop is 0.05" not in note]
    assert notes == []


@slow_where_compiled
def test_unknown_keys_are_listed(folders, tmp_path):
    folder = folders("bart", tmp_path)
    change(folder, rope_theta=10_000, sliding_window=None, prefix="x" * 100)
    (first, second) = notes_of(folder)
    assert first.startswith("prefix is 'xxx") and len(first) < 200
    assert second.endswith("not understood and not used: rope_theta=10000")


@slow_where_compiled
@pytest.mark.parametrize(
    ("family", "keys"),
    [
        ("bart", dict(normalize_before=True)),
        ("mbart", dict(normalize_before=False)),
        ("marian", dict(encoder_layerdrop=0.1)),
        ("mt5", dict(scale_decoder_outputs=True)),
        ("t5", dict(is_decoder=True)),
        ("pegasus", dict(pruned_heads={"0": [1]})),
        ("bart", dict(is_encoder_decoder=1)),
    ],
)
def test_values_that_matter_are_reported(folders, tmp_path, family, keys):
    folder = folders(family, tmp_path)
    change(folder, **keys)
    (note,) = notes_of(folder)
    (key,) = keys
    assert note.startswith(f"{key} is ") and "is not used" in note


@slow_where_compiled
@pytest.mark.parametrize(
    ("family", "keys", "message"),
    [
        ("bart", dict(hidden_size=16), "d_model is 12 and hidden_size 16"),
        ("t5", dict(num_attention_heads=4), "num_heads is 3 and num_attention_heads 4"),
        ("t5", dict(dense_act_fn="gelu"), "dense_act_fn is 'gelu', but feed_forward_proj 'relu'"),
        ("t5", dict(is_gated_act=True), "is_gated_act is True, but feed_forward_proj"),
        ("bart", dict(tie_word_embeddings="no"), "tie_word_embeddings is 'no'"),
        ("bart", dict(scale_embedding=1), "scale_embedding: expected true or false"),
        ("t5", dict(scale_decoder_outputs="no"), "scale_decoder_outputs: expected true or false"),
        ("bart", dict(dropout=True), "dropout: expected a number"),
        ("bart", dict(encoder_layers=10**6), "encoder_layers: Input should be less than"),
        ("bart", dict(d_model=2**63), "d_model: Input should be less than"),
    ],
)
def test_keys_that_contradict_or_cannot_be(folders, tmp_path, family, keys, message):
    folder = folders(family, tmp_path)
    change(folder, **keys)
    with pytest.raises((CheckpointError, ConfigError), match=message):
        HuggingFaceFolder(folder)


@slow_where_compiled
def test_another_name_of_a_key_is_followed(folders, tmp_path):
    folder = folders("bart", tmp_path)
    change(folder, encoder_attention_heads=..., num_attention_heads=4)
    with HuggingFaceFolder(folder) as opened:
        assert opened.preset.architecture.encoder.num_heads == 4
    assert transformers.AutoConfig.from_pretrained(folder).encoder_attention_heads == 4


@slow_where_compiled
def test_a_list_of_ids_in_the_configuration_alone_is_reported(folders, tmp_path):
    folder = folders("bart", tmp_path)
    change(folder, eos_token_id=[2, 5])
    assert any("[2, 5] in config.json" in note for note in notes_of(folder))


@slow_where_compiled
def test_a_list_of_ends_in_an_older_folder_is_read(folders, tmp_path):
    folder = folders("bart", tmp_path)
    (folder / "generation_config.json").unlink()
    change(folder, eos_token_id=[2, 5])
    assert not any("eos_token_id" in note for note in notes_of(folder))
    with HuggingFaceFolder(folder) as opened:
        assert opened.preset.special_ids.target.eos == 2
        assert opened.preset.generation.eos_token_id == [2, 5]


def test_lists_do_not_name_what_is_read():
    assert len(unread_keys()) > 30 and len(families()) >= 11
    for family in families():
        tables: Any = family_tables(family)
        listed = {*unread_keys(), *tables.unread}
        assert not listed & {*tables.config}, family
        assert np.all([isinstance(key, str) for key in listed])
