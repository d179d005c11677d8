"""YAML, read safely and strictly: plain data only, and no key said twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from keras_s2s.config import ConfigError


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that its mapping already has; plain YAML keeps the last one silently."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        # Here a mapping is as it was written; later `<<` has copied other keys into it.
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            identity = (key.tag, key.value)
            if identity in lines:
                raise yaml.composer.ComposerError(
                    problem=f"the key {key.value!r} is already set in line {lines[identity]}; "
                    "keep one",
                    problem_mark=key.start_mark,
                )
            lines[identity] = key.start_mark.line + 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # A date such as 2024-13-45.
            raise yaml.constructor.ConstructorError(
                problem=f"{node.value!r}: {error}; put it in quotes if it is text",
                problem_mark=node.start_mark,
            ) from None


def read_yaml(path: str | Path) -> Any:
    """Read one YAML file.

    Returns:
        What it holds: mappings, lists, strings, numbers, booleans, `None`.

    Raises:
        ConfigError: no such file, not UTF-8, not YAML, empty, or a key set twice; the message
            names the file and the line.

    Example:
        >>> read_yaml("zoo/presets/transformer_tiny.yaml")["base"]
        'transformer'
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
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    data = parse_yaml(text, source=str(path))
    if data is None:
        raise ConfigError(f"{path}: the file is empty")
    return data


def parse_yaml(text: str, *, source: str) -> Any:
    """Read one YAML document from a string; `source` is what an error calls it.

    Raises:
        ConfigError: not YAML, or a key set twice; the message names `source` and the line.
    """
    try:
        # The loader is a SafeLoader: it builds plain data and calls nothing.
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(f"{source}{where}: not valid YAML: {what}") from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigError(
            f"{source}, line {line}: not valid YAML: the character U+{error.character:04X} "
            "is not allowed; remove it"
        ) from None
    except RecursionError:
        raise ConfigError(f"{source}: not valid YAML: nested too deeply") from None
