"""Reads the JSON that Keras makes of an object: its class and its settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.huggingface.config_file import read_json

CONFIG = "config.json"
PACKAGES = ("keras_hub", "keras_nlp")


def is_kerashub_folder(path: str | Path) -> bool:
    """Returns whether `path` is a folder that `save_to_preset` of KerasHub wrote."""
    file = Path(path) / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError, RecursionError):
        return False
    if not isinstance(config, dict) or "class_name" not in config or "config" not in config:
        return False
    names = (config.get("module"), config.get("registered_name"))
    return any(isinstance(name, str) and name.startswith(PACKAGES) for name in names)


def is_kerashub_object(source: object) -> bool:
    """Returns whether `source` is a backbone or a task of KerasHub, which need not be imported."""
    return hasattr(source, "save_to_preset") and any(
        base.__module__.startswith(PACKAGES) for base in type(source).__mro__
    )


def read_serialized(path: Path) -> tuple[str, dict[str, Any]]:
    """Returns the class name and the settings of an object that Keras wrote.

    Raises:
        CheckpointError: the file holds something else.
    """
    data = read_json(path)
    name, settings = data.get("class_name"), data.get("config")
    if not isinstance(name, str) or not isinstance(settings, dict):
        raise CheckpointError(
            f"{path}: expected class_name and config, as Keras writes an object; save the folder "
            "again"
        )
    return name, settings


def plain(value: Any) -> Any:
    """Returns the name of a function that Keras wrote, without its package, and other values as
    they are.

    Example:
        >>> plain("keras_hub>gelu_approximate")
        'gelu_approximate'
    """
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
    return value.rpartition(">")[2] if isinstance(value, str) else value
