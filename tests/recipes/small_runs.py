"""A recipe as small as can be, with dropout, several buckets, and checkpoints within an epoch."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_s2s import Seq2SeqLM
from keras_s2s.catalog import load_recipe
from keras_s2s.config import RecipeConfig
from keras_s2s.recipes import runner
from keras_s2s.recipes.checkpoints.run_checkpoints import RunCheckpoints

CHANGES = [
    "model=transformer_tiny",
    "text.joint=true",
    "architecture.shared={hidden_dim: 8, num_heads: 2, intermediate_dim: 8, num_layers: 1, "
    "dropout: 0.2, embedding: {dim: 8}}",
    "data.train_size=112",
    "data.validation_size=16",
    "data.test_size=4",
    "training.epochs=3",
    "training.batch_size=16",
    "training.num_buckets=2",
    "training.label_smoothing=0.1",
    "training.optimizer={name: adam, learning_rate: 0.01, schedule: inverse_sqrt, warmup_steps: 4}",
    "training.checkpoints={steps: 3, minutes: null}",
    "evaluation.samples=1",
    "generation={max_length: 12}",
]

#: Figures that depend on the clock.
TIMES = ("seconds", "training_seconds")


def small_recipe(*changes: str) -> RecipeConfig:
    return load_recipe("dates", [*CHANGES, *changes])


def run(directory: Path, *changes: str, **options: Any) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "can_draw", lambda: False)  # pictures take longer than the training
        return runner.run_recipe(
            small_recipe(*changes),
            directory,
            make_model=Seq2SeqLM.from_preset,
            results=io.StringIO(),
            **options,
        )


def without_times(report: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name not in TIMES}


def assert_same_runs(found: Path, expected: Path) -> None:
    """Compare what two runs left: model, results, and the state after the last step.

    Their checkpoints must have been kept (`keep_checkpoints`).
    """
    reports = [json.loads((path / "results.json").read_text()) for path in (found, expected)]
    assert without_times(reports[0]) == without_times(reports[1])
    for name in ("model.safetensors", "preset.yaml", "recipe.yaml"):
        assert (found / name).read_bytes() == (expected / name).read_bytes(), name
    states = [RunCheckpoints(path / "checkpoints").latest() for path in (found, expected)]
    assert states[0] is not None
    assert states[1] is not None
    assert states[0].arrays.keys() == states[1].arrays.keys()
    for name, array in states[0].arrays.items():
        np.testing.assert_array_equal(array, states[1].arrays[name], err_msg=name)
    for name in ("epoch", "step", "history", "best", "best_epoch", "is_finished"):
        assert states[0].facts[name] == states[1].facts[name], name


def keep_checkpoints(monkeypatch: Any) -> None:
    """A run removes its checkpoints before it begins, but not at its end."""
    remove = RunCheckpoints.remove

    def at_the_beginning(self: RunCheckpoints) -> None:
        if not (self.directory.parent / "results.json").exists():
            remove(self)

    monkeypatch.setattr(RunCheckpoints, "remove", at_the_beginning)
