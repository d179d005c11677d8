"""Finds out which library wrote a `.pt` or `.pth` file, without unpickling it."""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import Path

#: Bytes of a pickle that are looked at: what a library writes first, or between the tensors.
_MOST_BYTES = 4 << 20
_PICKLES = 5

#: Library to keys of the mapping that it saves.
_WRITERS: dict[str, tuple[set[str], ...]] = {
    "OpenNMT-py": ({"model", "generator", "vocab", "opt"}, {"model", "generator", "fields", "opt"}),
    "fairseq": (
        {"model", "args", "optimizer_history"},
        {"model", "cfg", "optimizer_history"},
        {"model", "cfg", "extra_state"},
        {"model", "args", "extra_state"},
    ),
    "Lightning": ({"state_dict", "pytorch-lightning_version"},),
}


def writer_of(path: Path) -> str | None:
    """Returns the library that wrote a file, by the keys in it; None where none is known.

    The pickle is read as a list of operations, none of which is carried out.
    """
    words = _words(path)
    for library, sets in _WRITERS.items():
        if any(keys <= words for keys in sets):
            return library
    return None


def _words(path: Path) -> set[str]:
    """Returns the strings of a pickle, in a zip file as PyTorch writes it since 1.6, or bare."""
    words: set[str] = set()
    try:
        stream = io.BytesIO(_pickle(path))
        # Before version 1.6 a file is several pickles, one behind the other.
        for _ in range(_PICKLES):
            for operation, argument, _ in pickletools.genops(stream):
                if isinstance(argument, str) and "UNICODE" in operation.name:
                    words.add(argument)
    except Exception:  # each compression has errors of its own
        pass  # damaged, or no pickle: what was read counts
    return words


def _pickle(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    with zipfile.ZipFile(path) as archive:
        name = next((n for n in archive.namelist() if n.endswith("data.pkl")), None)
        if name is None:
            return b""
        with archive.open(name) as member:
            return member.read(_MOST_BYTES)
