"""Translates configurations between Hugging Face's keys and this package's, by a family's table."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.huggingface.family import ConfigRule, FamilyTables


def read_keys(
    rules: Mapping[str, ConfigRule], config: Mapping[str, Any], origin: str
) -> dict[str, Any]:
    """Translates a configuration of Hugging Face into settings: `architecture` and `special_ids`.

    Args:
        rules: the family's table.
        config: Hugging Face's configuration; keys without a rule are ignored.
        origin: the file, for error messages.

    Raises:
        CheckpointError: a value that the table has no translation for, or one setting under two
            names with two values.
    """
    settings: dict[str, Any] = {"architecture": {}, "special_ids": {}}
    for key, rule in rules.items():
        value = _value(key, rules, config)
        if rule.also is not None and config.get(rule.also) not in (None, value):
            raise CheckpointError(
                f"{origin}: {key} is {value!r} and {rule.also} {config[rule.also]!r}, but both "
                f"are names of one setting; remove {rule.also}, or make them agree"
            )
        for path, part in zip(_paths(rule), _translated(key, rule, value, origin), strict=True):
            _put(settings, path, part)
    for rule in rules.values():
        for path in _paths(rule) if rule.counts_offset else ():
            value, offset = _get(settings, path), _offset(settings, path)
            if isinstance(value, int) and isinstance(offset, int):
                _put(settings, path, value - offset)
    return settings


def _offset(settings: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Returns the `position_offset` beside the setting at `path`."""
    return _get(settings, (*path[:-1], "position_offset"))


def check_derived(tables: FamilyTables, config: Mapping[str, Any], origin: str) -> None:
    """Raises an error for keys that contradict the key which implies them.

    Raises:
        CheckpointError: the message names both.
    """
    for key, rule in tables.derived.items():
        value = config.get(key)
        implied = rule.values.get(str(_value(rule.of, tables.config, config)))
        if value is None or implied is None or any(_alike(value, each) for each in implied):
            continue
        raise CheckpointError(
            f"{origin}: {key} is {value!r}, but {rule.of} "
            f"{_value(rule.of, tables.config, config)!r} means {implied[0]!r}; transformers "
            f"would follow {key}. Correct the one that is wrong"
        )


def unread_notes(
    tables: FamilyTables,
    unread: Mapping[str, Any],
    read: Container[str],
    config: Mapping[str, Any],
    origin: str,
) -> list[str]:
    """Returns notes on keys that are not used: unknown ones, and values that may matter.

    Args:
        tables: the family's tables; its `unread` goes before those of all families.
        unread: of all families.
        read: keys that are read beside the family's rules.
        config: their keys.
        origin: the file's name.
    """
    known = {*tables.config, *(rule.also for rule in tables.config.values()), *tables.derived}
    allowed = {**unread, **tables.unread}
    strange: list[str] = []
    notes: list[str] = []
    for key, value in config.items():
        if value is None or key in known or key in read:
            continue
        if key not in allowed:
            strange.append(f"{key}={shortened(value)}")
            continue
        meant = allowed[key] if isinstance(allowed[key], list) else [allowed[key]]
        if "any" not in meant and not any(_alike(value, each) for each in meant):
            notes.append(
                f"{key} is {shortened(value)} in {origin} and is not used; models of this family "
                f"have {' or '.join(map(repr, meant))} here"
            )
    if strange:
        notes.append(f"keys of {origin} that are not understood and not used: {', '.join(strange)}")
    return notes


def shortened(value: Any) -> str:
    """Returns a value as text, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _alike(one: Any, other: Any) -> bool:
    """Returns whether two values are equal, with true other than 1."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def write_keys(
    rules: Mapping[str, ConfigRule], settings: Mapping[str, Any], known: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Translates settings into Hugging Face's keys: the inverse of `read_keys`.

    Where several settings have the same key, the first one is written; a caller that reads the
    result back sees whether the others agree.

    Args:
        known: the configuration that the model was read from, or None. Its values and missing keys
            are kept where they still mean the same.
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
    if rule.counts_offset:
        return ours[0] + (_offset(settings, _paths(rule)[0]) or 0)
    for theirs in rule.values or ():
        if _spread(rule, rule.values[theirs]) == ours:  # type: ignore[index]
            return theirs
    _, _, more = rule.to[0].partition(" + ")
    if more and isinstance(ours[0], int):
        return ours[0] - int(more)
    return ours[0]  # without a translation reading it back finds the misfit


def _meaning(rules: Mapping[str, ConfigRule], config: Mapping[str, Any]) -> Any:
    """Returns the settings that `config` has by a rule; None where there is no counterpart."""
    try:
        return read_keys(rules, config, "")
    except CheckpointError:
        return None


def their_keys(rules: Mapping[str, ConfigRule]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Returns, for the path of each setting, the key that it is read from, for error messages."""
    return {path: (key,) for key, rule in rules.items() for path in _paths(rule)}


def _value(key: str, rules: Mapping[str, ConfigRule], config: Mapping[str, Any]) -> Any:
    """Returns the value of a key in `config`, or the family's default where it is missing."""
    rule, value = rules.get(key), config.get(key)
    if value is None and rule is not None and rule.also is not None:
        value = config.get(rule.also)
    if value is not None or rule is None:
        return value
    if rule.default_of is not None:
        value = _value(rule.default_of, rules, config)
        value = value if rule.times == 1 else value * rule.times
    return rule.default if value is None else value


def _translated(key: str, rule: ConfigRule, value: Any, origin: str) -> list[Any]:
    """Returns the value for each path of a rule."""
    if rule.values is None:
        return _spread(rule, value)
    if str(value) not in rule.values:
        raise CheckpointError(
            f"{origin}: {key} is {value!r}, which this package does not have; it knows "
            + ", ".join(rule.values)
        )
    return _spread(rule, rule.values[str(value)])


def _spread(rule: ConfigRule, value: Any) -> list[Any]:
    """Returns a value for each path: a list has one for each key of `to`, and `shared.` is two
    paths.
    """
    parts = value if isinstance(value, list) and rule.values else [value] * len(rule.to)
    spread: list[Any] = []
    for part, key in zip(parts, rule.to, strict=True):
        _, _, more = key.partition(" + ")
        if more and isinstance(part, int):
            part += int(more)
        spread += [part] * (2 if key.startswith("shared.") else 1)
    return spread


def _paths(rule: ConfigRule) -> list[tuple[str, ...]]:
    """Returns the settings that a rule's values are stored in, as paths."""
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
