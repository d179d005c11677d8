"""TensorFlow SavedModels: their graphs, signatures, verification and files."""

from __future__ import annotations

from typing import Any

from keras_s2s.moved_modules import moved_name


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)
