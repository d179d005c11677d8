"""Tells Marian's files from others that have the same endings, without reading their values."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from keras_s2s.catalog.strict_yaml import read_yaml
from keras_s2s.config import ConfigError

#: The array in which Marian says what a model is.
SETTINGS = "special:model.yml"


def is_foreign(path: Path) -> bool:
    """Returns whether a `.npz` or `.decoder.yml` is whole, and another program's.

    A `.npz` of Marian has the array `special:model.yml`, a decoder configuration the key `models`.
    Of a damaged file nothing is known: its reader reports it.
    """
    if path.suffix == ".npz":
        try:
            with zipfile.ZipFile(path) as archive:
                return f"{SETTINGS}.npy" not in archive.namelist()
        except (OSError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError):
            return False
    if path.suffix == ".yml":
        try:
            data = read_yaml(path)
        except ConfigError:
            return False
        return isinstance(data, dict) and "models" not in data
    return False
