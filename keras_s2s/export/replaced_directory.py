"""Writes the folder of an export, and decides which existing folder it may replace."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from keras_s2s.atomic_writing import replaced_folder
from keras_s2s.export.errors import ExportError


def replaced_directory(
    target: Path, *, marker: str, overwrite: bool
) -> AbstractContextManager[Path]:
    """Yields a new folder beside `target` to write into, and renames it to `target` at the end.

    If the block raises, the new folder is removed and `target` stays as it was.

    Args:
        target: missing or empty; with `overwrite` it may hold `marker`.
        marker: a file that every folder of this format has. A folder with other content is never
            replaced.
        overwrite: replace what is there.

    Raises:
        ExportError: something is in the way.
    """
    return replaced_folder(target, lambda: _check(target, marker, overwrite))


def _check(target: Path, marker: str, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise ExportError(f"{target} is a file; give a folder to export into")
    if not any(target.iterdir()):
        return
    if not (target / marker).is_file():
        raise ExportError(
            f"{target} holds files but no {marker}, so it is not an export that could be "
            "replaced; choose another folder"
        )
    if not overwrite:
        raise ExportError(
            f"{target} holds an export already; pass overwrite=True to replace it, or choose "
            "another folder or version"
        )
