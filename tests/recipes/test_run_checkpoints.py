"""Checkpoint files of a run: whole or not there."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.recipes.checkpoints import run_checkpoints
from keras_s2s.recipes.checkpoints.run_checkpoints import (
    RunCheckpoint,
    RunCheckpoints,
    read_checkpoint,
    write_checkpoint,
)

ARRAYS = {
    "random/python": np.arange(5, dtype="uint32"),
    "metrics/0": np.array(0.1, "float32"),
    "optimizer/0": np.array(3, "int64"),
    "empty": np.zeros((0, 3), "float32"),
    "flags": np.array([True, False, True]),
    "model/0": np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3).T,
}
FACTS = {"epoch": 2, "history": {"loss": [1.5, float("nan")], "한국어": [0.1]}, "best": None}


def checkpoint(number: float = 0.0) -> RunCheckpoint:
    return RunCheckpoint({**ARRAYS, "number": np.array(number)}, FACTS)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "step.safetensors"
    write_checkpoint(path, checkpoint())
    found = read_checkpoint(path)
    assert found.arrays.keys() == checkpoint().arrays.keys()
    for name, array in ARRAYS.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)
    assert repr(found.facts) == repr(FACTS)
    assert [path.name for path in tmp_path.iterdir()] == ["step.safetensors"]


def test_it_is_a_safetensors_file(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    write_checkpoint(tmp_path / "step.safetensors", checkpoint())
    np.testing.assert_array_equal(
        load_file(tmp_path / "step.safetensors")["model/0"], ARRAYS["model/0"]
    )


def test_a_file_that_was_changed_or_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "step.safetensors"
    write_checkpoint(path, checkpoint())
    whole = path.read_bytes()
    draw = random.Random(1)
    for _ in range(150):
        place = draw.randrange(len(whole))
        changed = bytearray(whole)
        changed[place] ^= 1 << draw.randrange(8)
        for content in (bytes(changed), whole[:place]):
            path.write_bytes(content)
            with pytest.raises(CheckpointError, match=r"step\.safetensors"):
                found = read_checkpoint(path)
                # White space of the header may change unseen.
                assert found.facts == read_after(tmp_path, whole).facts
                for name, array in read_after(tmp_path, whole).arrays.items():
                    np.testing.assert_array_equal(found.arrays[name], array)
                raise CheckpointError("step.safetensors: nothing that counts was changed")


def read_after(folder: Path, content: bytes) -> RunCheckpoint:
    (folder / "whole").write_bytes(content)
    return read_checkpoint(folder / "whole")


def test_the_latest_are_kept_and_damaged_ones_passed_over(tmp_path: Path, caplog) -> None:
    folder = RunCheckpoints(tmp_path / "checkpoints", keep=2)
    assert folder.latest() is None
    for step in (5, 20, 100):
        assert folder.write(step, checkpoint(step))
    assert [path.name for path in folder.paths] == [
        "step-0000000100.safetensors",
        "step-0000000020.safetensors",
    ]
    assert folder.latest().arrays["number"] == 100
    folder.paths[0].write_bytes(b"")
    assert folder.latest().arrays["number"] == 20
    assert "step-0000000100.safetensors cannot be read" in caplog.text
    assert len(folder.paths) == 1, "what cannot be read takes no place of those that are kept"
    folder.paths[0].write_bytes(b"\0" * 1000)
    with pytest.raises(CheckpointError, match=r"no checkpoint that can be read.*--overwrite"):
        folder.latest()
    assert folder.paths, "nothing is removed where nothing can be read"


def test_a_full_disk_keeps_what_was_there(tmp_path: Path, monkeypatch, caplog) -> None:
    folder = RunCheckpoints(tmp_path / "checkpoints")
    assert folder.write(1, checkpoint(1))

    def full(file, content: bytes) -> None:
        file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_checkpoints, "_write", full)
    assert not folder.write(2, checkpoint(2))
    assert "after step 2" in caplog.text
    assert "No space left on device" in caplog.text
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [
        "step-0000000001.safetensors"
    ]
    assert folder.latest().arrays["number"] == 1
