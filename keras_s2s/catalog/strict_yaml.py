"""Reads YAML safely and strictly: plain data only, and no key twice in a mapping."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import yaml

from keras_s2s.config import ConfigError
from keras_s2s.config.file_errors import unreadable
from keras_s2s.config.git_pointers import is_pointer, pointer_message


class _Strict:
    """Raises an error for a key that occurs twice in a mapping, of which PyYAML keeps the last."""

    def get_single_node(self) -> Any:
        # Here a mapping is as it was written; later `<<` has copied other keys into it.
        root = super().get_single_node()  # type: ignore[misc]
        pending, seen = [root] if root is not None else [], set[int]()
        while pending:
            node = pending.pop()
            if id(node) in seen:  # an alias
                continue
            seen.add(id(node))
            if isinstance(node, yaml.MappingNode):
                _refuse_twins(node)
                pending += [part for pair in node.value for part in pair]
            elif isinstance(node, yaml.SequenceNode):
                pending += node.value
        return root

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)  # type: ignore[misc]
        except ValueError as error:  # A date such as 2024-13-45.
            raise yaml.constructor.ConstructorError(
                problem=f"{node.value!r}: {error}; put it in quotes if it is text",
                problem_mark=node.start_mark,
            ) from None


def _refuse_twins(node: yaml.MappingNode) -> None:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        identity = (key.tag, key.value)
        if identity in lines:
            raise yaml.composer.ComposerError(
                problem=f"the key {key.value!r} is already set in line {lines[identity]}; keep one",
                problem_mark=key.start_mark,
            )
        lines[identity] = key.start_mark.line + 1


class _StrictLoader(_Strict, yaml.SafeLoader):
    """The loader in Python, whose messages say more."""


class _FastLoader(_Strict, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The loader of libyaml, where PyYAML was built with it: ten times as fast."""


def read_yaml(path: str | Path) -> Any:
    """Reads a YAML file.

    Returns:
        What it holds: mappings, lists, strings, numbers, booleans, `None`.

    Raises:
        ConfigError: no such file, not UTF-8, not YAML, empty, or a key set twice; the message
            names the file and the line.

    Example:
        >>> read_yaml("zoo/presets/transformer_tiny.yaml")["base"]
        'families/transformer'
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}, line {line}: not UTF-8 (byte {error.object[error.start]:#04x}); "
            "save the file as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(unreadable(path, error)) from None
    data = parse_yaml(text, origin=str(path))
    if isinstance(data, str) and is_pointer(path):
        raise ConfigError(pointer_message(path))
    if data is None:
        raise ConfigError(f"{path}: the file is empty")
    return data


def parse_yaml(text: str, *, origin: str) -> Any:
    """Reads a YAML document from a string; `origin` is its name in error messages.

    Raises:
        ConfigError: not YAML, or a key set twice; the message names `origin` and the line.
    """
    # The loaders are SafeLoaders: they build plain data and call nothing.
    with contextlib.suppress(yaml.YAMLError, RecursionError):
        return yaml.load(text, Loader=_FastLoader)
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(f"{origin}{where}: not valid YAML: {what}") from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigError(
            f"{origin}, line {line}: not valid YAML: the character U+{error.character:04X} "
            "is not allowed; remove it"
        ) from None
    except RecursionError:
        raise ConfigError(f"{origin}: not valid YAML: nested too deeply") from None
