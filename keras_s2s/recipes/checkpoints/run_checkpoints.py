"""Files that an interrupted run goes on from: the latest states of its training.

A file is a safetensors file: arrays, and beside them JSON about the run with a checksum of both. It
is written under another name, and gets its own when it is complete and on the disk. A state that
cannot be read is passed over for the one before it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from keras_s2s.atomic_writing import replaced_file
from keras_s2s.checkpoints.errors import CheckpointError

logger = logging.getLogger(__name__)

#: Of the JSON that is written here.
FORMAT = 1

_SUFFIX = ".safetensors"
#: NumPy's types, by the names of safetensors.
_TYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "uint32": "U32",
    "int32": "I32",
    "uint64": "U64",
    "int64": "I64",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
}


@dataclass(frozen=True)
class RunCheckpoint:
    """The state of a run after a step.

    Attributes:
        arrays: of `training.training_state.captured_state`.
        facts: the rest, as JSON: position, history, the best epoch, what the run was started with.
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]


def write_checkpoint(path: Path, checkpoint: RunCheckpoint) -> None:
    """Writes a file that appears under its name only when it is complete and on the disk.

    Raises:
        OSError: it cannot be written; what was at `path` is as before.
    """
    # The order of safetensors: larger numbers first, so that all lie at multiples of their size.
    names = sorted(checkpoint.arrays, key=lambda n: (-checkpoint.arrays[n].dtype.itemsize, n))
    arrays = {name: np.asarray(checkpoint.arrays[name], order="C") for name in names}
    facts = json.dumps({"format": FORMAT, **checkpoint.facts})
    metadata = {"facts": facts, "checksum": _checksum(arrays, facts)}
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, array in arrays.items():
        begin, end = end, end + array.nbytes
        header[name] = {
            "dtype": _TYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with replaced_file(path) as beside, open(beside, "wb") as file:
        _write(file, len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            _write(file, array.tobytes())
        file.flush()
        os.fsync(file.fileno())


def _write(file: BinaryIO, content: bytes) -> None:
    file.write(content)


def read_checkpoint(path: Path) -> RunCheckpoint:
    """Reads what `write_checkpoint` wrote.

    Raises:
        CheckpointError: the file is truncated or changed, or of a later version.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        facts = metadata["facts"]
        checksum = metadata["checksum"]
        found = json.loads(facts)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    if found.pop("format", None) != FORMAT:
        raise CheckpointError(f"{path} was written by another version of keras_s2s")
    if checksum != _checksum(arrays, facts):
        raise CheckpointError(f"{path} has changed since it was written: its checksum differs")
    return RunCheckpoint(arrays, found)


def _checksum(arrays: Mapping[str, np.ndarray], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.name} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).view("uint8").data if array.size else b"")
    return digest.hexdigest()


class RunCheckpoints:
    """The states of a run on the disk, of which the latest are kept.

    Args:
        directory: made with the first state.
        keep: this many are kept.
        unit: what they are counted by, which names the files.
    """

    def __init__(self, directory: Path, keep: int = 2, unit: str = "step") -> None:
        self.directory = directory
        self.keep = keep
        self.unit = unit

    @property
    def paths(self) -> list[Path]:
        """The files, the latest first."""
        return sorted(self.directory.glob(f"{self.unit}-*{_SUFFIX}"), reverse=True)

    def path(self, step: int) -> Path:
        """Returns the file of the state after a step (or an epoch)."""
        return self.directory / f"{self.unit}-{step:010}{_SUFFIX}"

    def write(self, step: int, checkpoint: RunCheckpoint) -> bool:
        """Writes a state, and removes those before the latest.

        Args:
            step: of the whole run, from 1 on (or an epoch).
            checkpoint: the state after that step.

        Returns:
            whether it was written. A full disk is logged; the states before stay.
        """
        path = self.path(step)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            write_checkpoint(path, checkpoint)
        except OSError as error:
            before = self.paths
            rest = f"{before[0]} is still there" if before else "there is none yet"
            logger.warning(
                "no checkpoint was written after %s %d: %s; %s", self.unit, step, error, rest
            )
            return False
        for old in self.paths[self.keep :]:
            old.unlink(missing_ok=True)
        return True

    def latest(self) -> RunCheckpoint | None:
        """Returns the latest state that can be read, or None where there is none.

        Files that cannot be read are logged, and removed where an earlier one can be.

        Raises:
            CheckpointError: there are files, but none can be read.
        """
        unreadable: list[Path] = []
        for path in self.paths:
            try:
                found = read_checkpoint(path)
            except CheckpointError as error:
                logger.warning("%s; the checkpoint before it is used", error)
                unreadable.append(path)
                continue
            for bad in unreadable:
                bad.unlink(missing_ok=True)
            return found
        if unreadable:
            raise CheckpointError(
                f"{self.directory} has no checkpoint that can be read; start the run anew with "
                "--overwrite"
            )
        return None

    def remove(self) -> None:
        """Removes all states."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def remove_unfinished(self) -> None:
        """Removes what a run that was killed had begun to write."""
        for path in self.directory.rglob(".*.tmp"):
            path.unlink(missing_ok=True)
