"""A run that stops and goes on ends as one that never stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recipes.small_runs import (
    assert_same_runs,
    keep_checkpoints,
    run,
    without_times,
)
from small_models import COMPILES, slow_where_compiled

from keras_s2s.config import ConfigError
from keras_s2s.recipes import run_callbacks, runner
from keras_s2s.recipes.checkpoints import run_checkpoints
from keras_s2s.recipes.checkpoints.run_checkpoints import RunCheckpoints


class Stopped(Exception):
    """Ends a run at a step."""


def stop_after(monkeypatch: Any, hook: str, calls: int) -> None:
    """The next run stops when `hook` of a callback is called for the n-th time."""
    count = 0
    real = getattr(run_callbacks.ProgressBar, hook)

    def stop(self: Any, *arguments: Any, **keywords: Any) -> None:
        nonlocal count
        count += 1
        real(self, *arguments, **keywords)
        if count == calls:
            raise Stopped

    monkeypatch.setattr(run_callbacks.ProgressBar, hook, stop)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("runs") / "undisturbed"
    with pytest.MonkeyPatch.context() as patch:
        keep_checkpoints(patch)
        run(directory)
    return directory


def test_a_run_that_stops_several_times_ends_as_one_that_never_stopped(
    undisturbed: Path, tmp_path: Path, monkeypatch, caplog
) -> None:
    caplog.set_level("INFO")
    keep_checkpoints(monkeypatch)
    directory = tmp_path / "run"
    # Before a checkpoint, within an epoch, in a validation, before an epoch's state is written.
    stops = [
        ("on_train_batch_end", 2),
        ("on_train_batch_end", 5),
        ("on_test_begin", 2),
        ("on_train_batch_end", 2),
        ("on_epoch_end", 1),
    ]
    if COMPILES:  # each piece compiles anew
        stops = [("on_train_batch_end", 2), ("on_test_begin", 2)]
    for number, (hook, calls) in enumerate(stops):
        with monkeypatch.context() as patch:
            stop_after(patch, hook, calls)
            with pytest.raises(Stopped):
                run(directory, resume=number > 0)
    run(directory, resume=True)
    assert "starts at the beginning" in caplog.text
    assert COMPILES or "goes on from epoch 1, step 3" in caplog.text
    assert "goes on from epoch 2, step 5" in caplog.text, "the last multiple of 3 of all steps"
    assert_same_runs(directory, undisturbed)


@slow_where_compiled
def test_a_run_that_stops_while_it_is_measured(
    undisturbed: Path, tmp_path: Path, monkeypatch
) -> None:
    keep_checkpoints(monkeypatch)
    directory = tmp_path / "run"

    def stop(*_: Any, **__: Any) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(runner, "measure", stop)
        with pytest.raises(Stopped):
            run(directory)
    with monkeypatch.context() as patch:
        patch.setattr(run_callbacks.ProgressBar, "on_train_begin", stop)  # nothing is trained again
        run(directory, resume=True)
    assert_same_runs(directory, undisturbed)


@slow_where_compiled
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    undisturbed: Path, tmp_path: Path, monkeypatch, caplog
) -> None:
    keep_checkpoints(monkeypatch)
    directory = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_after(patch, "on_train_batch_end", 7)
        with pytest.raises(Stopped):
            run(directory)
    latest, before = RunCheckpoints(directory / "checkpoints").paths
    assert (latest.name, before.name) == (
        "step-0000000006.safetensors",
        "step-0000000003.safetensors",
    )
    latest.write_bytes(latest.read_bytes()[:-100])
    caplog.set_level("INFO")
    run(directory, resume=True)
    assert f"{latest} cannot be read" in caplog.text
    assert "goes on from epoch 1, step 3" in caplog.text
    assert_same_runs(directory, undisturbed)


@slow_where_compiled
def test_a_full_disk_ends_no_training(
    undisturbed: Path, tmp_path: Path, monkeypatch, caplog
) -> None:
    keep_checkpoints(monkeypatch)
    directory = tmp_path / "run"
    real = run_checkpoints._write
    count = 0

    def full(file: Any, content: bytes) -> None:
        nonlocal count
        count += 1
        if 200 < count < 500:
            raise OSError(28, "No space left on device")
        real(file, content)

    with monkeypatch.context() as patch:
        patch.setattr(run_checkpoints, "_write", full)
        stop_after(patch, "on_train_batch_end", 13)
        with pytest.raises(Stopped):
            run(directory)
    assert "no checkpoint was written after step" in caplog.text
    assert "No space left on device" in caplog.text
    left = [path.name for path in (directory / "checkpoints").iterdir()]
    assert left, "those before are kept"
    assert all(name.startswith("step-") for name in left), "nothing is half-written"
    run(directory, resume=True)
    assert_same_runs(directory, undisturbed)


@slow_where_compiled
def test_another_run_is_not_resumed(tmp_path: Path, monkeypatch) -> None:
    directory = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_after(patch, "on_train_batch_end", 4)
        with pytest.raises(Stopped):
            run(directory)
    changes = ("training.seed=3", "training.optimizer.learning_rate=0.02")
    with pytest.raises(ConfigError) as caught:
        run(directory, *changes, resume=True)
    assert "training.seed was 0, but is 3" in str(caught.value)
    assert "training.optimizer.learning_rate was 0.01, but is 0.02" in str(caught.value)
    with monkeypatch.context() as patch:
        real = runner.load_splits

        def others(*arguments: Any) -> dict[str, Any]:
            splits = real(*arguments)
            return {**splits, "train": splits["train"][1:]}

        patch.setattr(runner, "load_splits", others)
        with pytest.raises(ConfigError, match=r"otherwise: data\.train was .*; tokenizer was "):
            run(directory, resume=True)
    with monkeypatch.context() as patch:
        patch.setattr(runner, "tokenizer_fingerprint", lambda _: "another")
        with pytest.raises(ConfigError, match=r"tokenizer was .* but is 'another'"):
            run(directory, resume=True)
    with pytest.raises(ConfigError, match="has not ended; pass --resume"):
        run(directory)
    with pytest.raises(ConfigError, match="pass one"):
        run(directory, resume=True, overwrite=True)
    # What changes no number may differ.
    run(directory, "training.checkpoints.steps=100", resume=True)


@slow_where_compiled
def test_a_run_that_has_ended_is_left_as_it_is(tmp_path: Path, monkeypatch, caplog) -> None:
    caplog.set_level("INFO")
    directory = tmp_path / "run"
    report = run(directory, "training.epochs=1")
    assert not (directory / "checkpoints").exists()
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    again = run(directory, "training.epochs=1", resume=True)
    assert again == json.loads((directory / "results.json").read_text())
    assert without_times(again) == without_times(report)
    assert "is complete" in caplog.text
    with pytest.raises(ConfigError, match=r"training\.epochs was 1, but is 2"):
        run(directory, "training.epochs=2", resume=True)
    assert before == {path: path.stat().st_mtime_ns for path in directory.rglob("*")}


def test_a_model_of_no_run_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "preset.yaml").write_text("")
    with pytest.raises(ConfigError, match="holds a model already, and no unfinished run to resume"):
        run(tmp_path, resume=True)
