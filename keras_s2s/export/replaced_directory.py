"""Writing a folder so that nobody ever sees half of it."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_s2s.export.errors import ExportError


@contextmanager
def replaced_directory(target: Path, *, marker: str, overwrite: bool) -> Iterator[Path]:
    """A new folder beside `target` to write into, renamed to `target` at the end.

    If the block raises, the new folder is removed and `target` stays as it was.

    Args:
        target: missing or empty; with `overwrite` it may hold `marker`.
        marker: a file that every folder of this format has. A folder with other content is
            somebody's work, and is never replaced.
        overwrite: replace what is there.

    Raises:
        ExportError: something is in the way.
    """
    _check(target, marker, overwrite)
    own = uuid.uuid4().hex[:12]
    beside = target.with_name(f".{target.name}.exporting-{own}")
    old = target.with_name(f".{target.name}.replaced-{own}")
    beside.mkdir(parents=True)
    try:
        yield beside
        # Checked again: the writing took a while.
        _check(target, marker, overwrite)
        if target.exists():
            os.replace(target, old)
        try:
            os.replace(beside, target)
        except OSError:
            if old.exists():
                os.replace(old, target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


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
