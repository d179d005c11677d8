"""Files that git fetched without their content: pointers of Git LFS."""

from __future__ import annotations

from pathlib import Path

_BEGIN = b"version https://git-lfs"


def is_pointer(file: Path) -> bool:
    """Returns whether a file stands for one that git did not fetch."""
    try:
        with file.open("rb") as opened:
            return opened.read(len(_BEGIN)) == _BEGIN
    except OSError:
        return False


def pointer_message(file: Path) -> str:
    """Returns the message about a file that stands for one that git did not fetch."""
    return (
        f"{file}: a Git LFS pointer stands here in place of the file; run `git lfs pull` in "
        f"{file.parent}, or fetch the model again (hf://ORGANISATION/NAME)"
    )
