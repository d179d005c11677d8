"""The settings in Marian's files: YAML in the array `special:model.yml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from keras_s2s.catalog.marian_files import SETTINGS
from keras_s2s.catalog.strict_yaml import parse_yaml
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.config import ConfigError

#: Bytes of settings that are read at most; those of Marian have about 1,500.
LARGEST_SETTINGS = 2**20


def read_settings(path: Path, array: np.ndarray) -> dict[str, Any]:
    """Returns the settings of a file.

    Args:
        path: the file, for messages.
        array: its array of settings, bytes of YAML that end at the first NUL.

    Raises:
        CheckpointError: they are no YAML mapping in UTF-8.
    """
    place = f"{path}: {SETTINGS}"
    if array.dtype.itemsize != 1 or array.nbytes > LARGEST_SETTINGS:
        raise CheckpointError(f"{place} is no text: {array.nbytes} bytes of {array.dtype}")
    content = array.tobytes().partition(b"\0")[0]
    try:
        settings = parse_yaml(content.decode("utf-8"), origin=place)
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{place}: not UTF-8 (byte {error.start})") from None
    except ConfigError as error:
        raise CheckpointError(str(error)) from None
    if not isinstance(settings, dict) or not all(isinstance(key, str) for key in settings):
        raise CheckpointError(f"{place}: expected a mapping of keys, got {type(settings).__name__}")
    return settings


def write_settings(settings: dict[str, Any]) -> np.ndarray:
    """Returns the array of settings, as `read_settings` reads it."""
    content = yaml.safe_dump(settings, sort_keys=True, allow_unicode=True).encode() + b"\0"
    # Marian's binary files hold arrays of multiples of 256 bytes.
    content += b"\0" * (-len(content) % 256)
    return np.frombuffer(content, np.int8)
