"""Reads the JSON files of a Hugging Face folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.config.file_errors import unreadable
from keras_s2s.config.git_pointers import is_pointer, pointer_message


def single_ids(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `config` with the first of several ids where it lists them."""
    return {
        key: value[0] if key.endswith("_token_id") and isinstance(value, list) and value else value
        for key, value in config.items()
    }


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file that holds one object.

    Raises:
        CheckpointError: it is missing, may not be read, or holds something else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except OSError as error:
        raise CheckpointError(unreadable(path, error)) from None
    except (ValueError, RecursionError) as error:
        if is_pointer(path):
            raise CheckpointError(pointer_message(path)) from None
        raise CheckpointError(f"{path}: not a JSON file: {error}") from None
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected one JSON object, got {type(data).__name__}")
    return data
