"""Writes an architecture as Marian's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.marian.architecture import SettingsReader
from keras_s2s.checkpoints.marian.family import MarianTables, marian_families
from keras_s2s.checkpoints.marian.settings import SETTINGS
from keras_s2s.config import (
    ArchitectureConfig,
    ConditionalConfig,
    DeepRecurrentConfig,
    PresetConfig,
    StackConfig,
    embedding_dim,
    read_config,
)

#: Rates that no file of Marian holds.
_RATES = ("dropout", "attention_dropout", "activation_dropout", "output_dropout")

#: Types of encoder and decoder -> the family whose files have them.
_FAMILIES = {
    ("transformer", "transformer"): "marian_nmt",
    ("transformer", "ssru"): "marian_ssru",
    ("deep_recurrent", "conditional"): "marian_rnn",
}

Shapes = Mapping[str, tuple[int, ...]]


def family_for(config: PresetConfig) -> str:
    """Returns the family whose files a model can be written as.

    Raises:
        CheckpointError: Marian has no such model.
    """
    families = marian_families()
    if config.family in families:
        return str(config.family)
    types = config.architecture.encoder.type, config.architecture.decoder.type
    if types not in _FAMILIES:
        known = ", ".join(" and ".join(pair) for pair in _FAMILIES)
        raise CheckpointError(
            f"architecture.encoder.type is {types[0]} and decoder.type {types[1]}; written in "
            f"Marian's format are {known}"
        )
    return _FAMILIES[types]


def settings_of(config: PresetConfig, family: str, shapes: Shapes) -> dict[str, Any]:
    """Returns the settings that describe a model: its own, if Marian wrote it, as far as they do.

    Args:
        config: of the model.
        family: that it is written as.
        shapes: of its tensors.

    Raises:
        CheckpointError: something that Marian has not; the message names the key.
    """
    tables = marian_families()[family]
    origin = config.origin.config if config.origin and config.origin.format == "marian" else {}
    if origin and not differences(config, origin, family, shapes):
        return dict(origin)
    settings = {**tables.defaults, **origin, **_made(config.architecture, tables)}
    if different := differences(config, settings, family, shapes):
        raise CheckpointError(
            f"architecture.{different[0]}, and Marian has no model like it"
            + (f" ({len(different) - 1} more keys differ)" if len(different) > 1 else "")
        )
    return settings


def differences(
    config: PresetConfig, settings: Mapping[str, Any], family: str, shapes: Shapes
) -> list[str]:
    """Returns where the model that settings describe differs, in words."""
    reader = SettingsReader(settings, shapes, marian_families()[family], family, SETTINGS)
    try:
        again = read_config(ArchitectureConfig, reader.architecture(), origin=SETTINGS)
    except (CheckpointError, ValueError) as error:
        return [f"decoder: {error}"]
    found: list[str] = []

    def compare(mine: Any, theirs: Any, path: str) -> None:
        if isinstance(mine, dict) and isinstance(theirs, dict):
            for key in mine:
                if key not in _RATES:
                    compare(mine[key], theirs.get(key), f"{path}.{key}" if path else key)
        elif mine != theirs:
            found.append(f"{path} is {mine!r}, not {theirs!r}")

    compare(_plain(config.architecture), _plain(again), "")
    return found


def _plain(architecture: ArchitectureConfig) -> dict[str, Any]:
    """Returns an architecture with its defaults spelt out, where two spellings mean the same."""
    data = architecture.model_dump()
    for side in ("encoder", "decoder"):
        part = getattr(architecture, side)
        if isinstance(part, StackConfig):
            data[side]["head_dim"] = part.head_dim or part.hidden_dim // part.num_heads
            data[side]["final_norm"] = part.has_final_norm
        if not part.embedding.norm:
            data[side]["embedding"]["norm_epsilon"] = None
        data[side]["embedding"]["dim"] = embedding_dim(part)
    return data


def _made(architecture: ArchitectureConfig, tables: MarianTables) -> dict[str, Any]:
    """Returns the settings that an architecture decides."""
    made: dict[str, Any] = {}
    for key, rule in tables.settings.items():
        value = _get(architecture, rule.to[0])
        if rule.values is not None:
            names: dict[Any, str] = {}
            for theirs, ours in rule.values.items():
                names.setdefault(ours, theirs)
            if value not in names:
                known = ", ".join(map(str, names))
                raise CheckpointError(f"architecture.{rule.to[0]} is {value!r}; Marian has {known}")
            value = names[value]
        if value is not None:
            made[key] = value
    made |= {
        "dim-vocabs": [architecture.source_vocab_size, architecture.target_vocab_size],
        "tied-embeddings-all": architecture.share_embeddings and architecture.output.tie_embeddings,
        "tied-embeddings-src": architecture.share_embeddings
        and not architecture.output.tie_embeddings,
        "tied-embeddings": architecture.output.tie_embeddings and not architecture.share_embeddings,
        "output-omit-bias": not architecture.output.bias,
    }
    encoder, decoder = architecture.encoder, architecture.decoder
    if isinstance(encoder, DeepRecurrentConfig) and isinstance(decoder, ConditionalConfig):
        made["layer-normalization"] = decoder.norm != "none"
        made["type"] = "nematus" if decoder.readout_norm == "nematus" else "s2s"
        for key, side in (("enc-cell", encoder), ("dec-cell", decoder)):
            if side.norm == "nematus":
                made[key] = "gru-nematus"
    if isinstance(decoder, StackConfig):
        made |= _steps(decoder)
        groups = decoder.layer_groups
        made["transformer-tied-layers"] = (
            []
            if groups is None
            else [layer * groups // decoder.num_layers + 1 for layer in range(decoder.num_layers)]
        )
        made["transformer-disable-position-embeddings"] = decoder.embedding.positions == "none"
        made["transformer-train-position-embeddings"] = decoder.embedding.positions == "learned"
    return made


def _steps(stack: StackConfig) -> dict[str, str]:
    orders = {"pre": ("n", "da"), "post": ("", "dan")}
    if stack.steps is not None:
        before, after = stack.steps.before, stack.steps.after
    else:
        before, after = orders[stack.norm_order]
    kind = "r" if stack.norm == "rms" else "n"
    return {
        "transformer-preprocess": before.replace("n", kind),
        "transformer-postprocess": after.replace("n", kind),
        "transformer-postprocess-emb": "nd" if stack.embedding.norm else "d",
        "transformer-postprocess-top": kind if stack.has_final_norm else "",
    }


def _get(architecture: ArchitectureConfig, place: str) -> Any:
    value: Any = architecture
    for part in place.split("."):
        value = getattr(value, part, None)
    return value
