"""What a result depends on besides its recipe: versions of libraries."""

from __future__ import annotations

import platform
from importlib import metadata


def versions() -> dict[str, str]:
    """Returns the versions of the libraries that a result depends on."""
    names = ("keras", "tensorflow", "jax", "torch", "numpy", "sentencepiece", "sacrebleu", "babel")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
