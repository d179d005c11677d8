"""What a run writes down about itself, and what it keeps besides the best epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from recipes.small_runs import assert_same_runs, keep_checkpoints, run
from small_models import covered, slow_where_compiled

from keras_s2s import Seq2SeqLM
from keras_s2s.atomic_writing import BESIDE
from keras_s2s.config import ConfigError
from keras_s2s.recipes import run_callbacks
from keras_s2s.recipes.checkpoints import averaging
from keras_s2s.recipes.progress import Progress
from keras_s2s.recipes.records import metrics_log
from keras_s2s.recipes.records.metrics_log import append
from keras_s2s.recipes.records.provenance import git_state
from keras_s2s.recipes.records.run_folder import RunFolder
from keras_s2s.training.optimizers.moving_average import averages

TIMES = ("seconds", "tokens_per_second")


def lines_of(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def without_times(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMES} for line in lines]


def weights_of(model: Seq2SeqLM) -> list[np.ndarray]:
    return [np.array(ops.convert_to_numpy(weight.value)) for weight in model.weights]


class Stopped(Exception):
    """Ends a run at a step."""


def stop_after(monkeypatch: Any, steps: int) -> None:
    count = 0
    real = run_callbacks.ProgressBar.on_train_batch_end

    def stop(self: Any, *arguments: Any, **keywords: Any) -> None:
        nonlocal count
        count += 1
        real(self, *arguments, **keywords)
        if count == steps:
            raise Stopped

    monkeypatch.setattr(run_callbacks.ProgressBar, "on_train_batch_end", stop)


OPTIONS = {
    "records": (),
    "averages": (
        "training.ema=0.8",
        "training.average={last_checkpoints: 2}",
        "training.accumulate=2",
        "training.optimizer={name: adafactor, learning_rate: 0.05}",
    ),
}


@pytest.mark.parametrize("name", covered(list(OPTIONS), ["averages"]))
def test_records_of_a_resumed_run_are_those_of_one_that_never_stopped(
    tmp_path: Path, monkeypatch, name: str
) -> None:
    changes = ("training.log_steps=2", *OPTIONS[name])
    keep_checkpoints(monkeypatch)
    report = run(tmp_path / "whole", *changes)
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        with pytest.raises(Stopped):
            run(tmp_path / "pieces", *changes)
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        with pytest.raises(Stopped):
            run(tmp_path / "pieces", *changes, resume=True)
    assert len(lines_of(tmp_path / "pieces")) == 6, "five of steps, and one of an epoch"
    run(tmp_path / "pieces", *changes, resume=True)
    assert_same_runs(tmp_path / "pieces", tmp_path / "whole")

    lines = lines_of(tmp_path / "whole")
    assert without_times(lines_of(tmp_path / "pieces")) == without_times(lines)
    epochs = [line for line in lines if line["kind"] == "epoch"]
    steps = [line for line in lines if line["kind"] == "step"]
    assert [line["val_loss"] for line in epochs] == report["history"]["val_loss"]
    total = epochs[-1]["step"]
    assert [line["step"] for line in steps] == list(range(2, total + 1, 2))
    assert all(line["tokens_per_second"] > 0 for line in steps)
    assert all(line["learning_rate"] > 0 for line in lines)

    facts = json.loads((tmp_path / "pieces" / "run.json").read_text())
    assert (facts["seed"], facts["git"]) == (0, git_state())
    assert facts["versions"]["keras"]
    done = [(piece["epochs_done"], piece["steps_done"]) for piece in facts["pieces"]]
    assert done == [(0, 0), (0, 3), (1, 2)]


@slow_where_compiled
def test_the_mean_of_the_last_epochs_is_saved(tmp_path: Path, monkeypatch) -> None:
    epochs: list[list[np.ndarray]] = []
    real = run_callbacks.ProgressBar.on_epoch_end

    def remember(self: Any, epoch: int, logs: Any = None) -> None:
        epochs.append(weights_of(self.model))
        real(self, epoch, logs)

    monkeypatch.setattr(run_callbacks.ProgressBar, "on_epoch_end", remember)
    report = run(tmp_path, "training.average={last_checkpoints: 2}")
    assert len(epochs) == 3
    assert report["average"]["epochs"] == [2, 3]
    saved = Seq2SeqLM.from_preset(tmp_path)
    for found, *last in zip(weights_of(saved), *epochs[1:], strict=True):
        np.testing.assert_allclose(found, np.mean(last, axis=0), rtol=1e-6, atol=1e-7)
        if found.ndim > 1:
            assert np.abs(found - last[-1]).max() > 1e-6
    assert report["average"]["val_loss"] not in report["history"]["val_loss"]
    assert not (tmp_path / "checkpoints").exists()


@slow_where_compiled
def test_weights_of_epochs_that_cannot_be_read_are_not_in_the_mean(tmp_path: Path, caplog) -> None:
    class Weights:
        def __init__(self, *values: float) -> None:
            self.weights = [keras.Variable(float(value), trainable=False) for value in values]

    epochs = averaging.LastEpochs(tmp_path, 3)
    model = Weights(0.0, 0.0)
    for epoch in range(4):
        epochs._model = Weights(epoch, 10.0 * epoch)
        epochs.on_epoch_end(epoch)
    assert epochs.average(model, 4) == [2, 3, 4]
    assert [float(weight) for weight in model.weights] == [2.0, 20.0]
    path = epochs.kept.path(3)
    path.write_bytes(path.read_bytes()[:-1])
    epochs.kept.path(2).unlink()
    assert epochs.average(model, 4) == [4]
    assert [float(weight) for weight in model.weights] == [3.0, 30.0]
    assert "epoch 2 is not in the mean" in caplog.text
    assert f"epoch 3 is not in the mean of weights: {path} cannot be read" in caplog.text
    epochs.kept.path(4).unlink()
    assert epochs.average(model, 4) == []
    assert [float(weight) for weight in model.weights] == [3.0, 30.0]


def test_more_batches_for_a_step_than_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.accumulate: 22 batches for .* has 21"):
        run(tmp_path, "training.accumulate=22")


@slow_where_compiled
def test_a_run_that_is_killed_while_the_mean_is_saved(tmp_path: Path, monkeypatch, caplog) -> None:
    keep_checkpoints(monkeypatch)
    changes = ("training.average={last_checkpoints: 2}",)
    run(tmp_path / "whole", *changes)

    def kill(path: Path) -> None:
        (path / f"{BESIDE}model").mkdir()
        raise Stopped

    with monkeypatch.context() as patch:
        real = run_callbacks.LastEpochs.average

        def average(self: Any, *arguments: Any) -> Any:
            used = real(self, *arguments)
            patch.setattr(Seq2SeqLM, "save_to_preset", lambda _, path: kill(path))
            return used

        patch.setattr(run_callbacks.LastEpochs, "average", average)
        with pytest.raises(Stopped):
            run(tmp_path / "pieces", *changes)
    run(tmp_path / "pieces", *changes, resume=True)
    assert "diverged" not in caplog.text
    assert_same_runs(tmp_path / "pieces", tmp_path / "whole")


@slow_where_compiled
def test_lines_wait_while_the_disk_is_full(tmp_path: Path, monkeypatch, caplog) -> None:
    count = 0

    def full(path: Path, size: int, content: bytes) -> int:
        nonlocal count
        count += 1
        if 2 < count < 6:
            path.write_bytes(path.read_bytes()[:size] + content[: len(content) // 2])
            raise OSError(28, "No space left on device")
        return append(path, size, content)

    monkeypatch.setattr(metrics_log, "append", full)
    report = run(tmp_path, "training.log_steps=2")
    assert caplog.text.count("metrics.jsonl was not written: [Errno 28]") == 1
    lines = lines_of(tmp_path)
    assert [line["step"] for line in lines if line["kind"] == "step"] == list(
        range(2, lines[-1]["step"] + 1, 2)
    )
    assert [x["val_loss"] for x in lines if x["kind"] == "epoch"] == report["history"]["val_loss"]


def test_lines_are_json_where_values_are_not_finite(tmp_path: Path) -> None:
    log = metrics_log.MetricsLog(RunFolder(tmp_path, overwrite=False), Progress(), every=1, steps=1)
    log._add({"step": 1, "loss": float("nan"), "perplexity": float("inf"), "val_loss": 2.5})
    text = (tmp_path / "metrics.jsonl").read_text()
    assert text == '{"step": 1, "loss": null, "perplexity": null, "val_loss": 2.5}\n'


def test_append(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    assert append(path, 10, b"one\n") == 4, "the file was shorter"
    assert append(path, 4, b"two\n") == 8
    assert append(path, 4, b"2\n") == 6
    assert path.read_bytes() == b"one\n2\n"


@slow_where_compiled
def test_patience(tmp_path: Path, monkeypatch) -> None:
    keep_checkpoints(monkeypatch)
    changes = (
        "training.optimizer={name: sgd, learning_rate: 30.0}",
        "training.epochs=20",
        "training.patience=2",
    )
    report = run(tmp_path / "whole", *changes)
    values = report["history"]["val_loss"]
    best = int(np.nanargmin(values))
    assert len(values) == best + 3 < 20
    assert report["best_epoch"] == best + 1
    steps = lines_of(tmp_path / "whole")[-1]["step"] // len(values)
    with monkeypatch.context() as patch:
        # In the last epoch, after one that was not better.
        stop_after(patch, (best + 2) * steps + 4)
        with pytest.raises(Stopped):
            run(tmp_path / "pieces", *changes)
    run(tmp_path / "pieces", *changes, resume=True)
    assert_same_runs(tmp_path / "pieces", tmp_path / "whole")


@slow_where_compiled
def test_the_moving_average_is_saved(tmp_path: Path, monkeypatch) -> None:
    saved: list[list[np.ndarray]] = []
    real_save, real_bar = Seq2SeqLM.save_to_preset, run_callbacks.ProgressBar.on_epoch_end

    def save(self: Seq2SeqLM, *arguments: Any) -> None:
        saved.append(weights_of(self))
        for variable, average in averages(self):
            np.testing.assert_array_equal(variable.numpy(), average.numpy())
        real_save(self, *arguments)

    def after(self: Any, epoch: int, logs: Any = None) -> None:
        trained = weights_of(self.model)
        assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(trained, saved[-1], strict=True))
        real_bar(self, epoch, logs)

    monkeypatch.setattr(Seq2SeqLM, "save_to_preset", save)
    monkeypatch.setattr(run_callbacks.ProgressBar, "on_epoch_end", after)
    run(tmp_path, "training.ema=0.8")
    assert saved
    for found, wanted in zip(weights_of(Seq2SeqLM.from_preset(tmp_path)), saved[-1], strict=True):
        np.testing.assert_array_equal(found, wanted)


@slow_where_compiled
def test_two_runs_with_one_seed_are_equal(tmp_path: Path, monkeypatch) -> None:
    keep_checkpoints(monkeypatch)
    for name in ("one", "two"):
        run(tmp_path / name)
    assert_same_runs(tmp_path / "one", tmp_path / "two")
    run(tmp_path / "three", "training.seed=1")
    with pytest.raises(AssertionError):
        assert_same_runs(tmp_path / "one", tmp_path / "three")


def test_git_state(tmp_path: Path, monkeypatch) -> None:
    import subprocess

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state() is None
    name = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "-q"], [*name, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *command], check=True)
    state = git_state()
    assert state is not None
    assert (len(state["commit"]), state["is_dirty"]) == (40, False)
    (tmp_path / "new").write_text("a run, say")
    assert git_state() == {"commit": state["commit"], "is_dirty": False}
    subprocess.run(["git", "add", "new"], check=True)
    assert git_state() == {"commit": state["commit"], "is_dirty": True}
    monkeypatch.setenv("PATH", "")
    assert git_state() is None
