"""Errors about configurations."""

from __future__ import annotations

from typing import Any

#: The keys from the top of a configuration down to a setting.
KeyPath = tuple[Any, ...]


class ConfigError(ValueError):
    """Raised for a configuration that cannot be used; the message names file, key, value and
    remedy.
    """


class MissingFileError(ConfigError, FileNotFoundError):
    """Raised for a file that a folder needs and does not have; the message names it."""


class Misfit(ValueError):
    """Raised by a validator for a setting that does not fit another one.

    Args:
        keys: the setting to change, as a path below the configuration that validates.
        message: what does not fit, and what to do.
    """

    def __init__(self, keys: KeyPath, message: str) -> None:
        super().__init__(message)
        self.keys = keys
