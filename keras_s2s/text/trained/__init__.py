"""Tokenizers that are trained here."""

from __future__ import annotations

from typing import Any

from keras_s2s.moved_modules import moved_name


def __getattr__(name: str) -> Any:
    """Returns a name that was in this module before it became a package, with a warning."""
    return moved_name(__name__, name)
