"""The message about a file that the system does not let be read."""

from __future__ import annotations

from pathlib import Path


def unreadable(path: Path, error: OSError) -> str:
    """Returns the message about a file that is there, and cannot be read."""
    if isinstance(error, IsADirectoryError):
        return f"{path}: cannot be read: a folder stands here, where a file is expected"
    if isinstance(error, PermissionError):
        return f"{path}: cannot be read: permission denied; make it readable (chmod u+r)"
    return f"{path}: cannot be read: {error.strerror or error}"
