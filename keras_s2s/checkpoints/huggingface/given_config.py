"""Configurations of one half that a caller gives: in place of a folder, or to change one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_s2s.checkpoints.huggingface.family import unread_keys
from keras_s2s.checkpoints.huggingface.generation_table import KNOWN
from keras_s2s.checkpoints.huggingface.half import HalfCheckpoint
from keras_s2s.config import ConfigError
from keras_s2s.config.nearest import did_you_mean


def is_configuration(source: Any) -> bool:
    """Returns whether a half is given as a mapping of keys, or a configuration of transformers."""
    return isinstance(source, Mapping) or (
        hasattr(source, "to_diff_dict") and hasattr(source, "model_type")
    )


def configuration_keys(source: Any) -> dict[str, Any]:
    """Returns what `config.json` would say of a configuration."""
    return dict(source) if isinstance(source, Mapping) else dict(source.to_diff_dict())


def check_mapping(name: str, changes: Any) -> dict[str, Any]:
    """Returns an argument that is a mapping of keys, or None.

    Raises:
        ConfigError: it is something else.
    """
    if changes is not None and not isinstance(changes, Mapping):
        raise ConfigError(
            f"{name}: {changes!r} is not a mapping; expected keys of transformers' config.json, "
            "such as {'hidden_dropout_prob': 0.0}"
        )
    return dict(changes or {})


def check_changes(name: str, half: HalfCheckpoint, changes: Mapping[str, Any]) -> None:
    """Raises an error for changes that would change nothing.

    Args:
        name: of the argument.
        half: made with the changes.
        changes: keys of `config.json`, and their values.

    Raises:
        ConfigError: a key that models of this family do not have, with the nearest one, or one
            that is read from elsewhere.
    """
    tables = half.tables
    names = tables.token_tables
    flags = {name for name in (names.tie, names.share, names.own_output) if name is not None}
    also = {rule.also for rule in tables.config.values() if rule.also is not None}
    read = {*tables.config, *also, *KNOWN, *flags}
    unread = {**unread_keys(), **tables.unread}
    for key in changes:
        if key in read:
            continue
        if key in unread:
            raise ConfigError(
                f"{name}: {key} has no meaning for the {half.side} of an encoder-decoder here; "
                "leave it out"
            )
        hint = did_you_mean(key, sorted(read)) or f"known are {', '.join(sorted(tables.config))}"
        raise ConfigError(f"{name}: {half.family} has no {key!r}; {hint}")
