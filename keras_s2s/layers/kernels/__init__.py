"""The operations of a decoding step, and faster ones for a running backend."""

from __future__ import annotations

import importlib
import warnings
from typing import Any


def __getattr__(name: str) -> Any:
    """Returns a name that was in this module before it became a package, with a warning."""
    operations = importlib.import_module(f"{__name__}.operations")
    if name.startswith("_") or not hasattr(operations, name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"{__name__}.{name} is now in {operations.__name__}; the old name works for one release "
        "more",
        FutureWarning,
        stacklevel=2,
    )
    return getattr(operations, name)
