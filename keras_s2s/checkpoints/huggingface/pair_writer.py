"""Writes a model of two halves as a folder of transformers' EncoderDecoderModel."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.huggingface.config_file import single_ids
from keras_s2s.checkpoints.huggingface.config_table import read_keys, write_keys
from keras_s2s.checkpoints.huggingface.family import ConfigRule
from keras_s2s.checkpoints.huggingface.half import ENDS, HalfCheckpoint, Side
from keras_s2s.checkpoints.huggingface.pair import (
    LABEL_BOS,
    MODEL_CLASS,
    MODEL_TYPE,
    TIED_LAYERS,
    Pair,
)
from keras_s2s.checkpoints.huggingface.pair_row import Row
from keras_s2s.checkpoints.preset_folder import named_weights
from keras_s2s.checkpoints.sinusoid_tables import sines_before_cosines
from keras_s2s.config import PresetConfig, TransformerConfig

#: Keys of a pair's configuration and the target's ids.
IDS = {
    "pad_token_id": "pad",
    "eos_token_id": "eos",
    "decoder_start_token_id": "decoder_start",
}


def is_pair(config: PresetConfig) -> bool:
    """Returns whether a model came from two halves."""
    return config.origin is not None and config.origin.config.get("model_type") == MODEL_TYPE


def describe_pair(config: PresetConfig) -> tuple[Pair, dict[str, Any]]:
    """Returns a model's halves, and its `config.json`.

    Raises:
        CheckpointError: transformers has no such half, or the model was changed into something
            that its families do not have.
    """
    assert config.origin is not None
    known = config.origin.config
    written = {key: value for key, value in known.items() if key not in ENDS}
    halves: dict[Side, HalfCheckpoint] = {}
    for side in ENDS:
        halves[side] = _half(side, known[side], config)
        written[side] = halves[side].config
    target = config.special_ids.target
    written |= {key: getattr(target, name) for key, name in IDS.items()}
    written |= {
        "model_type": MODEL_TYPE,
        "architectures": [MODEL_CLASS],
        "is_encoder_decoder": True,
        "tie_encoder_decoder": config.architecture.tie_encoder_decoder,
        LABEL_BOS: target.bos is not None,
    }
    pair = Pair(
        halves["encoder"],
        halves["decoder"],
        config={key: value for key, value in written.items() if key not in ENDS},
        name="the model",
    )
    return pair, written


def _half(side: Side, known: Mapping[str, Any], config: PresetConfig) -> HalfCheckpoint:
    """Returns a half whose configuration says what the model has on this side."""
    architecture = config.architecture
    part = getattr(architecture, side)
    half = HalfCheckpoint(side, known, f"the {side}", None)
    if half.tables.halves.get(side) is None:
        raise CheckpointError(
            f"architecture.{side} came from model_type {known.get('model_type')}, whose {side} "
            f"alone is not a model of transformers, so that {MODEL_CLASS} cannot have it; keep "
            "this model as a folder of this package (model.save_to_preset), or export it as "
            "tf_saved_model"
        )
    own, rules = part.model_dump(), half.tables.config
    size = getattr(architecture, f"{ENDS[side]}_vocab_size")
    settings = {
        "architecture": {
            "encoder": own,
            "decoder": own,
            "source_vocab_size": size,
            "target_vocab_size": size,
            # An encoder has a head in its tables, but not in the model.
            "output": architecture.output.model_dump() if side == "decoder" else half.output,
        },
        # The pair's own keys say what the model's ids are now.
        "special_ids": read_keys(rules, single_ids(known), side)["special_ids"],
    }
    keys = write_keys(rules, settings, single_ids(known))
    # What means the same as before stays as it was written, or unwritten.
    before = write_keys(rules, read_keys(rules, single_ids(known), side), single_ids(known))
    other = "decoder" if side == "encoder" else "encoder"
    of_side = {
        key: value
        for key, value in keys.items()
        if value is not None and value != before[key] and not _is_of(other, rules[key])
    }
    written = {**known, **of_side}
    if side == "decoder":
        written |= {"is_decoder": True, "add_cross_attention": True}
    again = HalfCheckpoint(side, written, f"the {side}", None)
    wanted = TransformerConfig.model_validate(again.settings)
    # Stored tables of positions tell what a configuration alone does not.
    if half.tables.sinusoids:
        wanted = wanted.model_copy(update={"embedding": part.embedding})
    if wanted != part:
        differing = [
            name
            for name in TransformerConfig.model_fields
            if getattr(wanted, name) != getattr(part, name)
        ]
        raise CheckpointError(
            f"architecture.{side}: {', '.join(differing)} cannot be said in a config.json of "
            f"model_type {known.get('model_type')}"
        )
    return again


def _is_of(side: str, rule: ConfigRule) -> bool:
    """Returns whether a key is about one side alone."""
    return all(path.startswith(f"{side}.") for path in rule.to)


def pair_tensors(
    pair: Pair, config: PresetConfig, variables: Sequence[Any]
) -> dict[str, tuple[int, Any]]:
    """Returns every tensor to write: name -> its bytes, and a function that returns its values."""
    named = named_weights(variables)
    architecture = config.architecture.model_dump()
    rows = pair.rows(dict.fromkeys(named), architecture)
    places = [(row, row.entry.ours) for row in rows]
    if config.architecture.tie_encoder_decoder:
        places += _copies_of_tied(pair, [row.entry.ours for row in rows], architecture)
    found: dict[str, list[tuple[Row, str]]] = {}
    for row, path in places:
        if _is_left_out(row, config, named[path]):
            continue
        found.setdefault(_full_name(row), []).append((row, path))
    tensors = {name: _joined(parts, named) for name, parts in found.items()}
    if not config.architecture.output.tie_embeddings:
        # A head that is not tied has a bias of its own, under the second name.
        for name, other in pair.decoder.tables.also_named.items():
            if f"decoder.{name}" in tensors and other is not None:
                tensors[f"decoder.{other}"] = tensors[f"decoder.{name}"]
    return tensors | _computed_positions(pair, config)


def _computed_positions(pair: Pair, config: PresetConfig) -> dict[str, tuple[int, Any]]:
    """Returns the tables of sinusoids that transformers stores although they are computed."""
    part = config.architecture.decoder
    if not isinstance(part, TransformerConfig) or part.embedding.positions == "learned":
        return {}
    rows, dim = pair.decoder.config.get("max_position_embeddings", 0), part.hidden_dim
    return {
        f"decoder.{name}": (rows * dim * 4, functools.partial(sines_before_cosines, rows, dim))
        for name, side in pair.decoder.tables.sinusoids.items()
        if side == "decoder"
    }


def _copies_of_tied(pair: Pair, paths: Sequence[str], architecture: Any) -> list[tuple[Row, str]]:
    """Returns the decoder's tensors that are copies of the encoder's weights."""
    ours: dict[str, str] = {}
    for path in paths:
        for own, tied in TIED_LAYERS:
            if path.startswith(tied):
                ours[own + path.removeprefix(tied)] = path
    entries = pair.decoder.entries(ours, architecture)
    return [(Row(entry, pair.decoder, None), ours[entry.ours]) for entry in entries]


def _is_left_out(row: Row, config: PresetConfig, variable: Any) -> bool:
    """Returns whether a class of a single side lacks a tensor that whole models have."""
    if row.is_optional and np.any(ops.convert_to_numpy(variable.value)):
        raise CheckpointError(
            f"{row.entry.ours} is not zero, but the decoder of transformers has no "
            f"{row.entry.theirs}; keep this model as a folder of this package"
        )
    return row.is_optional


def _full_name(row: Row) -> str:
    """Returns a tensor's name in the folder of the pair."""
    if row.half is None:
        return row.entry.theirs
    if row.half.side == "encoder":  # its class has no head, and no prefix
        return f"encoder.{row.entry.theirs.removeprefix(row.half.tables.prefix)}"
    return f"decoder.{row.entry.theirs}"


def _joined(parts: Sequence[tuple[Row, str]], named: Mapping[str, Any]) -> tuple[int, Any]:
    """Returns the tensor that one variable, or several side by side, are stored in."""
    ordered = sorted(parts, key=lambda part: part[0].entry.part or (0, 1))
    variables = [named[path] for _, path in ordered]
    size = sum(int(np.prod(v.shape)) * (4 if v.dtype == "float32" else 2) for v in variables)

    def array() -> np.ndarray:
        arrays = [
            row.entry.transform.write(ops.convert_to_numpy(named[path].value))
            for row, path in ordered
        ]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=-1)

    return size, array
