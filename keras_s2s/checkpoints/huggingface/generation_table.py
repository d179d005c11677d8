"""Translates generation defaults between Hugging Face's keys and this package's.

The names are the same, except for three that are special ids in this package.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.config import ConfigError, GenerationConfig, read_config
from keras_s2s.options.generation import OPTIONS

#: Longest result where a folder says nothing: transformers then makes 20 ids, and the decoder
#: start counts too.
UNSET_MAX_LENGTH = 21

#: Their keys of ids -> ours of the target.
IDS = {
    "eos_token_id": "eos",
    "pad_token_id": "pad",
    "decoder_start_token_id": "decoder_start",
    "forced_bos_token_id": "forced_bos",
    "forced_eos_token_id": "forced_eos",
}

#: Their keys -> the options of this package that a model may have defaults of.
_THEIRS = {
    option.huggingface: option.name
    for option in OPTIONS.values()
    if option.configured and option.huggingface is not None
}

#: Keys that do not change which ids are generated.
HARMLESS = frozenset(
    {
        *("_from_model_config", "transformers_version", "trust_remote_code", "generation_kwargs"),
        *("use_cache", "cache_implementation", "cache_config", "return_legacy_cache"),
        *("output_attentions", "output_hidden_states", "output_scores", "output_logits"),
        *("return_dict_in_generate", "remove_invalid_values", "low_memory"),
        *("prefill_chunk_size", "disable_compile", "compile_config", "is_assistant"),
        *("num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_lookbehind"),
        *("assistant_confidence_threshold", "assistant_early_exit", "target_lookbehind"),
        *("prompt_lookup_num_tokens", "max_matching_ngram_size"),
        *("bos_token_id", "max_new_tokens"),
    }
)

#: Keys that are about generation, wherever they stand.
KNOWN = frozenset({*_THEIRS, *IDS, *HARMLESS})

logger = logging.getLogger(__name__)

#: The value of `early_stopping` that transformers lacks.
SHRINK = "shrink"


class Defaults(NamedTuple):
    """The generation defaults of a folder.

    Attributes:
        generation: defaults of `generate`.
        target_ids: special ids of the target, by our names; only those that are set.
        notes: settings that cannot be used.
    """

    generation: GenerationConfig
    target_ids: dict[str, int]
    notes: list[str]


def read_generation(data: Mapping[str, Any], origin: str, *, strict: bool = True) -> Defaults:
    """Reads generation defaults from `generation_config.json`, or from an older `config.json`.

    Args:
        strict: note every key without a counterpart; False for a `config.json`, where most keys
            are about something else.

    Raises:
        CheckpointError: a value that no search can mean.
    """
    notes: list[str] = []
    settings = {
        ours: data[theirs] for theirs, ours in _THEIRS.items() if data.get(theirs) is not None
    }
    settings.setdefault("max_length", UNSET_MAX_LENGTH)
    if (new := data.get("max_new_tokens")) is not None:
        if not isinstance(new, int) or isinstance(new, bool):
            raise CheckpointError(f"{origin}: max_new_tokens is {new!r}, expected a whole number")
        settings["max_length"] = new + 1
    for key in ("top_k", "min_p", "top_p"):
        if settings.get(key) == 0:  # transformers: do not use it
            del settings[key]
    if settings.get("temperature") == 0 and not settings.get("do_sample"):
        del settings["temperature"]
        notes.append(f"temperature is 0 in {origin}, which sampling cannot use; it is ignored")
    ids: dict[str, int] = {}
    if isinstance(ends := settings.pop("eos_token_id", None), list) and len(ends) > 1:
        settings["eos_token_id"] = ends
    for key, ours in IDS.items():
        value = data.get(key)
        if isinstance(value, list):
            if len(value) > 1 and key != "eos_token_id":
                notes.append(f"{key} is {value} in {origin}; only the first one is used")
            value = value[0] if value else None
        if value is not None:
            ids[ours] = value
    if "decoder_start" not in ids and data.get("bos_token_id") is not None:
        ids["decoder_start"] = data["bos_token_id"]  # as transformers starts then
    for key, value in data.items() if strict else ():
        if key not in KNOWN and value is not None:
            notes.append(f"{key}={value!r} in {origin} has no counterpart here and is not used")
    try:
        return Defaults(read_config(GenerationConfig, settings, origin=origin), ids, notes)
    except ConfigError as error:
        raise CheckpointError(str(error)) from None


def write_generation(
    generation: GenerationConfig, special: Mapping[str, Any], known: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Returns the `generation_config.json` for settings of this package.

    Args:
        special: the target's ids by their keys (`pad_token_id`, ...).
        known: the generation configuration of the folder that the model came from; its keys without
            a counterpart here are kept.
    """
    defaults = GenerationConfig()
    written = dict(known or {})
    for key in ("max_length", "max_new_tokens"):
        written.pop(key, None)
    for theirs, ours in _THEIRS.items():
        value = getattr(generation, ours)
        if value == SHRINK:
            logger.warning(
                "early_stopping %r is Marian's search, which transformers does not have; written "
                "is True",
                SHRINK,
            )
            value = True
        if ours not in ("max_length", "eos_token_id") and (
            value != getattr(defaults, ours) or theirs in written
        ):
            written[theirs] = value
    written |= _length(generation.max_length, known)
    for key, value in special.items():
        before = written.get(key)
        # Of several ends all are read, so that a list says what no longer holds.
        kept = isinstance(before, list) and (key != "eos_token_id" or len(before) == 1)
        if kept and before and before[0] == value:
            continue
        if value is not None:
            written[key] = value
        else:
            written.pop(key, None)
    if generation.eos_token_id is not None:
        written["eos_token_id"] = generation.eos_token_id
    return written


def _length(max_length: int, known: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the maximum length in the key it was written in, where that still means the same."""
    keys = ("max_length", "max_new_tokens")
    before = {key: known[key] for key in keys if key in known} if known else {}
    meant = before.get("max_length") or UNSET_MAX_LENGTH
    if before.get("max_new_tokens") is not None:
        meant = before["max_new_tokens"] + 1
    return before if known is not None and meant == max_length else {"max_length": max_length}
