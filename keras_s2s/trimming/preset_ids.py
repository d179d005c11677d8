"""Finds every id that a preset names, and writes the preset with other ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from keras_s2s.config import ConfigError, LanguagesConfig, PresetConfig, read_config
from keras_s2s.options.generation import OPTIONS
from keras_s2s.options.kinds import TokenId, TokenIds, TokenLists
from keras_s2s.text.trimming.trimmer import Side

#: Side, id and key of an id -> the id that is written in its place.
Visit = Callable[[Side, int, str], int]

#: Keys of transformers whose values are ids, lists of them, or lists of lists.
_IDS = re.compile(
    r".*_token_ids?|bad_words_ids|force_words_ids|(begin_)?suppress_tokens|forced_decoder_ids"
)
#: Its keys with ids in another form, which cannot be written anew.
_REFUSED = ("sequence_bias",)


def visited(config: PresetConfig, visit: Visit, *, origin: str) -> PresetConfig:
    """Returns a preset in which `visit` has been called for every id, and chosen another.

    Args:
        config: a valid preset.
        visit: called with the side whose vocabulary an id is of, the id, and its key.
        origin: of the preset, for error messages.

    Raises:
        ConfigError: an id that a key names in a form that cannot be written anew.
    """
    data = config.model_dump()
    special = data["special_ids"]
    sides: tuple[Side, Side] = ("source", "target")
    for side in sides:
        for name, i in special[side].items():
            if i is not None:
                special[side][name] = visit(side, i, f"special_ids.{side}.{name}")
    languages = config.special_ids.languages
    if languages is not None:
        for code, i in languages.codes.items():
            key = f"special_ids.languages.codes.{code}"
            found = {visit(side, i, key) for side in sides_of(languages)}
            if len(found) != 1:
                raise ConfigError(
                    f"{key} is {i} on both sides, which have vocabularies of their own, and would "
                    "become two ids; this model cannot be trimmed"
                )
            special["languages"]["codes"][code] = found.pop()
    for name, option in OPTIONS.items():
        value = data["generation"].get(name) if option.configured else None
        if value is not None and isinstance(option.kind, TokenId | TokenIds | TokenLists):
            data["generation"][name] = _nested(value, "target", f"generation.{name}", visit)
    if config.origin is not None and config.origin.format == "huggingface":
        for part in ("config", "generation"):
            data["origin"][part] = _foreign(data["origin"][part], "target", f"origin.{part}", visit)
    return read_config(PresetConfig, data, origin=origin)


def sides_of(languages: LanguagesConfig) -> set[Side]:
    """Returns the sides that ids of languages are read on."""
    found: set[Side] = set()
    if languages.source != "none" or languages.target == "source_prefix":
        found.add("source")
    if languages.target != "source_prefix":
        found.add("target")
    return found


def _nested(value: Any, side: Side, key: str, visit: Visit) -> Any:
    if isinstance(value, list | tuple):
        return [_nested(each, side, key, visit) for each in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return visit(side, value, key)
    return value


def _foreign(data: Mapping[str, Any], side: Side, path: str, visit: Visit) -> dict[str, Any]:
    """Returns keys of transformers with other ids; halves of a pair lie within."""
    written: dict[str, Any] = {}
    for key, value in data.items():
        place = f"{path}.{key}"
        if key in _REFUSED and value:
            raise ConfigError(
                f"{place} names ids in a form that cannot be written anew; remove it from the "
                "folder's files"
            )
        if isinstance(value, Mapping):
            inner: Side = "source" if key == "encoder" else side
            written[key] = _foreign(value, inner, place, visit)
        elif key == "forced_decoder_ids" and isinstance(value, list):
            written[key] = [[at, _nested(i, side, place, visit)] for at, i in value]
        elif _IDS.fullmatch(str(key)):
            written[key] = _nested(value, side, place, visit)
        else:
            written[key] = value
    return written
