"""Writes files and folders under another name, then renames them.

Readers see the old content or the new one, never a mixture; after an error or an interrupt the
unfinished files are removed.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

#: Name of the folder that `moved_into` writes into, before the number of the process.
BESIDE = ".saving-"


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Yields the path of a file to write, and renames it to `path` at the end.

    If the block raises, the new file is removed and `path` stays as it was.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes `content` to a file that appears under its name only when it is complete."""
    with replaced_file(path) as beside:
        beside.write_bytes(content)


@contextmanager
def replaced_folder(target: Path, check: Callable[[], None]) -> Iterator[Path]:
    """Yields a new folder beside `target` to write into, and renames it to `target` at the end.

    If the block raises, the new folder is removed and `target` stays as it was.

    Args:
        target: may exist; it is replaced as a whole.
        check: raises if `target` must not be replaced. Called at the start, and again at the
            end, because the writing takes a while.
    """
    check()
    own = uuid.uuid4().hex[:12]
    beside = target.with_name(f".{target.name}.exporting-{own}")
    old = target.with_name(f".{target.name}.replaced-{own}")
    beside.mkdir(parents=True)
    try:
        yield beside
        check()
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


@contextmanager
def moved_into(folder: Path, names: Sequence[str], replaced: Sequence[str] = ()) -> Iterator[Path]:
    """Yields a new folder to write into, and moves what was written into `folder` at the end.

    Args:
        folder: exists; other files in it stay.
        names: the files and folders to move, in this order.
        replaced: names that are taken out of `folder` first, whether new ones come or not.
    """
    beside = folder / f"{BESIDE}{os.getpid()}"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        yield beside
        for name in replaced:
            if (folder / name).exists():
                # Moved, not deleted: an interrupt here would leave neither the old nor the new.
                os.replace(folder / name, beside / f"replaced-{name}")
        for name in names:
            os.replace(beside / name, folder / name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
