"""Every format a model can be exported to, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_s2s.export.errors import ExportError
from keras_s2s.export.saved_model import export_saved_model

FORMATS: dict[str, Callable[..., Path]] = {"tf_saved_model": export_saved_model}


def export_as(format: str, directory: str | Path, **arguments: Any) -> Path:
    """Export to the format of this name.

    Args:
        format: a key of `FORMATS`.
        directory: where to write.
        **arguments: of the format's own function.

    Returns:
        the folder written.

    Raises:
        ExportError: an unknown format; the message lists those that are supported.
    """
    if format not in FORMATS:
        raise ExportError(
            f"format={format!r} is not supported; supported formats: {', '.join(FORMATS)}"
        )
    return FORMATS[format](directory, **arguments)
