"""Generation defaults from Hugging Face's keys to ours and back.

The names are the same, but for three of ours that are special ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.config import ConfigError, GenerationConfig, read_config

#: Longest result, in ids, where a folder says nothing: transformers' own default.
UNSET_MAX_LENGTH = 20

#: Their keys of ids -> ours of the target.
IDS = {
    "decoder_start_token_id": "decoder_start",
    "forced_bos_token_id": "forced_bos",
    "forced_eos_token_id": "forced_eos",
}

_SAME = tuple(name for name in GenerationConfig.model_fields if name != "sampler")

#: What transformers has settings for and this package does not; the value that asks for nothing.
UNKNOWN = {
    "num_assistant_tokens": None,
    "penalty_alpha": None,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "exponential_decay_length_penalty": None,
    "sequence_bias": None,
    "guidance_scale": None,
    "constraints": None,
    "force_words_ids": None,
    "encoder_repetition_penalty": 1.0,
    "max_time": None,
    "stop_strings": None,
}


class Defaults(NamedTuple):
    """What a folder says of generation.

    Attributes:
        generation: for `generate`.
        target_ids: special ids of the target, by our names; only those that are set.
        notes: what could not be honoured.
    """

    generation: GenerationConfig
    target_ids: dict[str, int]
    notes: list[str]


def read_generation(data: Mapping[str, Any], source: str) -> Defaults:
    """Generation defaults out of `generation_config.json`, or of an older `config.json`.

    Raises:
        CheckpointError: a value that no search can mean.
    """
    notes: list[str] = []
    settings = {key: data[key] for key in _SAME if data.get(key) is not None}
    settings.setdefault("max_length", UNSET_MAX_LENGTH)
    if (new := data.get("max_new_tokens")) is not None:
        settings["max_length"] = new + 1
    for key in ("top_k", "min_p", "top_p"):
        if settings.get(key) == 0:  # transformers: do not use it
            del settings[key]
    ids: dict[str, int] = {}
    for key, ours in IDS.items():
        value = data.get(key)
        if isinstance(value, list):
            if len(value) > 1:
                notes.append(f"{key} is {value} in {source}; the first is used")
            value = value[0] if value else None
        if value is not None:
            ids[ours] = value
    eos = data.get("eos_token_id")
    if isinstance(eos, list) and len(eos) > 1:
        notes.append(f"eos_token_id is {eos} in {source}; only the first ends a sequence here")
    for key, nothing in UNKNOWN.items():
        if data.get(key, nothing) not in (nothing, None):
            notes.append(f"{key}={data[key]} in {source} has no counterpart here and is not used")
    try:
        return Defaults(read_config(GenerationConfig, settings, source=source), ids, notes)
    except ConfigError as error:
        raise CheckpointError(str(error)) from None


def write_generation(
    generation: GenerationConfig, special: Mapping[str, Any], known: Mapping[str, Any] | None
) -> dict[str, Any]:
    """`generation_config.json` for our settings.

    Args:
        special: the target's ids by their keys (`pad_token_id`, ...).
        known: what the folder that the model came from said; keys of which nothing is known
            here stay.
    """
    defaults = GenerationConfig()
    written = dict(known or {})
    written.pop("max_new_tokens", None)
    for key in _SAME:
        value = getattr(generation, key)
        if value != getattr(defaults, key) or key in written:
            written[key] = value
    written.update(_length(generation.max_length, known))
    if written["max_length"] is None:
        del written["max_length"]
    for key, value in special.items():
        before = written.get(key)
        if isinstance(before, list) and before and before[0] == value:
            continue
        if value is not None:
            written[key] = value
        else:
            written.pop(key, None)
    return written


def _length(max_length: int, known: Mapping[str, Any] | None) -> dict[str, Any]:
    """How the longest result is written: as it was, where that still means the same."""
    known = known or {"max_length": max_length}
    if known.get("max_new_tokens") == max_length - 1:
        return {"max_length": known.get("max_length"), "max_new_tokens": max_length - 1}
    if "max_length" not in known and max_length == UNSET_MAX_LENGTH:
        return {"max_length": None}
    return {"max_length": max_length}
