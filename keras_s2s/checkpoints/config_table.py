"""Configuration from Hugging Face's keys to ours and back, by a family's table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.family import ConfigRule


def read_keys(
    rules: Mapping[str, ConfigRule], config: Mapping[str, Any], source: str
) -> dict[str, Any]:
    """Settings of ours, `architecture` and `special_ids`, out of their configuration.

    Args:
        rules: the family's table.
        config: their keys; those that no rule names are left alone.
        source: the file, for error messages.

    Raises:
        CheckpointError: a value that the table has no translation for.
    """
    settings: dict[str, Any] = {"architecture": {}, "special_ids": {}}
    for key, rule in rules.items():
        value = _value(key, rules, config)
        for path, part in zip(_paths(rule), _translated(key, rule, value, source), strict=True):
            _put(settings, path, part)
    return settings


def write_keys(
    rules: Mapping[str, ConfigRule], settings: Mapping[str, Any], known: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Their keys for settings of ours: the inverse of `read_keys`.

    Where several of ours go into one of theirs the first is written; a caller that reads the
    result back sees whether the others agreed.

    Args:
        known: what their configuration said before; None where there was none. A value, or a
            key left out, that still means the same stays as it was.
    """
    written = {key: _written(rule, settings) for key, rule in rules.items()}
    if known is None:
        return written
    meaning = _meaning(rules, written)
    for key in rules:
        trial = {name: value for name, value in written.items() if name != key}
        if key in known:
            trial[key] = known[key]
        if _meaning(rules, trial) == meaning:
            written = trial
    return written


def _written(rule: ConfigRule, settings: Mapping[str, Any]) -> Any:
    ours = [_get(settings, path) for path in _paths(rule)]
    for theirs in rule.values or ():
        if _spread(rule, rule.values[theirs]) == ours:  # type: ignore[index]
            return theirs
    return ours[0]  # without a translation reading it back finds the misfit


def _meaning(rules: Mapping[str, ConfigRule], config: Mapping[str, Any]) -> Any:
    """What `config` says in our settings; None where it says what we do not have."""
    try:
        return read_keys(rules, config, "")
    except CheckpointError:
        return None


def their_keys(rules: Mapping[str, ConfigRule]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """For each of our settings, as a path: the key that it comes from, for error messages."""
    return {path: (key,) for key, rule in rules.items() for path in _paths(rule)}


def _value(key: str, rules: Mapping[str, ConfigRule], config: Mapping[str, Any]) -> Any:
    """What `config` says of a key, or what the family takes where it says nothing."""
    rule, value = rules.get(key), config.get(key)
    if value is not None or rule is None:
        return value
    if rule.default_of is not None:
        value = _value(rule.default_of, rules, config)
    return rule.default if value is None else value


def _translated(key: str, rule: ConfigRule, value: Any, source: str) -> list[Any]:
    """Our value for each path of a rule."""
    if rule.values is None:
        return _spread(rule, value)
    if str(value) not in rule.values:
        raise CheckpointError(
            f"{source}: {key} is {value!r}, which this package does not have; it knows "
            + ", ".join(rule.values)
        )
    return _spread(rule, rule.values[str(value)])


def _spread(rule: ConfigRule, value: Any) -> list[Any]:
    """One value for each path: a list has one for each key of `to`, and `shared.` is two paths."""
    parts = value if isinstance(value, list) and rule.values else [value] * len(rule.to)
    spread: list[Any] = []
    for part, key in zip(parts, rule.to, strict=True):
        _, _, more = key.partition(" + ")
        if more and isinstance(part, int):
            part += int(more)
        spread += [part] * (2 if key.startswith("shared.") else 1)
    return spread


def _paths(rule: ConfigRule) -> list[tuple[str, ...]]:
    """Where a rule's values go, as paths into settings."""
    paths: list[tuple[str, ...]] = []
    for key in rule.to:
        first, *rest = key.partition(" + ")[0].split(".")
        if first == "shared":
            paths += [("architecture", side, *rest) for side in ("encoder", "decoder")]
        elif first == "special_ids":
            paths.append((first, *rest))
        else:
            paths.append(("architecture", first, *rest))
    return paths


def _put(settings: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        settings = settings.setdefault(key, {})
    settings[path[-1]] = value


def _get(settings: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = settings
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
