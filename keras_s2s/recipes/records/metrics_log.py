"""The measured values of a run as JSON lines, while it trains."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
from keras import ops

from keras_s2s.recipes.progress import Progress
from keras_s2s.recipes.records.run_folder import METRICS_FILE, RunFolder
from keras_s2s.training.optimizers.inner_optimizers import main_optimizer

logger = logging.getLogger(__name__)


class MetricsLog(keras.callbacks.Callback):
    """Writes a line to `metrics.jsonl` every so many steps, and one at the end of each epoch.

    A line of `kind` "step" has `step` (of the run), `epoch` (from 1 on), `loss` and the other
    values of the epoch so far, `learning_rate` (of the next step; with rates of groups, of the
    rest), `tokens_per_second` (real target tokens since the line before) and `seconds` of training.
    One of `kind` "epoch" has the values of the epoch, validation included, with the signatures of
    those that compare texts. What is not finite is
    null, as JSON has no other numbers. Lines wait while the disk is full.

    Args:
        folder: of the run. While it holds an earlier model only, lines wait.
        progress: how far the run has got.
        every: steps between two lines.
        steps: of an epoch.
        size: bytes of the file that belong to the run so far; what follows is of steps that come
            again.
        waiting: lines that were not written yet.
        signatures: returns how values that compare texts are measured, by name.
    """

    def __init__(
        self,
        folder: RunFolder,
        progress: Progress,
        *,
        every: int,
        steps: int,
        size: int = 0,
        waiting: list[str] | None = None,
        signatures: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.progress = progress
        self.every = every
        self.steps = steps
        self.size = size
        self.waiting = list(waiting or [])
        self.signatures = signatures
        self._has_failed = False
        self._tokens: float | None = None
        self._time = 0.0

    @property
    def path(self) -> Path:
        return self.folder.directory / METRICS_FILE

    def facts(self) -> dict[str, Any]:
        """Returns what the next piece of a run needs to go on with the file."""
        return {"metrics_size": self.size, "metrics_waiting": self.waiting}

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # Within an epoch that goes on, the sums have been put back, but not read yet.
        self._tokens = None if self.progress.step else 0.0
        self._time = self.progress.trained()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        step = (self.progress.epoch - 1) * self.steps + self.progress.step
        if step % self.every:
            return
        values = {name: _number(value) for name, value in (logs or {}).items()}
        self._add(
            {"kind": "step", "step": step, "epoch": self.progress.epoch, **values, **self._pace()}
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {name: _number(value) for name, value in (logs or {}).items()}
        self._add(
            {
                "kind": "epoch",
                "step": (epoch + 1) * self.steps,
                "epoch": epoch + 1,
                **values,
                **self.signatures(),
                "learning_rate": learning_rate(self.model.optimizer),
                "seconds": round(self.progress.trained(), 3),
            }
        )

    def _pace(self) -> dict[str, float | None]:
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        tokens = _number(self.model._loss_tracker.tokens)
        seconds = self.progress.trained()
        passed = seconds - self._time
        known = self._tokens is not None and passed > 0
        pace = (tokens - (self._tokens or 0.0)) / passed if known else None
        self._tokens, self._time = tokens, seconds
        return {
            "learning_rate": learning_rate(self.model.optimizer),
            "tokens_per_second": None if pace is None else round(pace, 1),
            "seconds": round(seconds, 3),
        }

    def _add(self, values: dict[str, Any]) -> None:
        finite = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }
        self.waiting.append(json.dumps(finite) + "\n")
        if self.folder.has_earlier_model:
            return
        try:
            self.size = append(self.path, self.size, "".join(self.waiting).encode())
        except OSError as error:
            if not self._has_failed:
                logger.warning("%s was not written: %s; its lines wait", self.path, error)
            self._has_failed = True
        else:
            self._has_failed = False
            self.waiting.clear()


def append(path: Path, size: int, content: bytes) -> int:
    """Writes after the first bytes of a file, and cuts off what was there.

    Args:
        path: of the file, which is made where it is missing.
        size: bytes that stay; all, where the file has fewer.
        content: what is written.

    Returns:
        the bytes of the file.
    """
    path.touch()
    with open(path, "r+b") as file:
        file.truncate(min(size, file.seek(0, os.SEEK_END)))
        end = file.seek(0, os.SEEK_END)
        file.write(content)
    return end + len(content)


def learning_rate(optimizer: Any) -> float:
    """Returns the learning rate of the next step, of the weights that are in no group."""
    return _number(main_optimizer(optimizer).learning_rate)


def _number(value: Any) -> float:
    return float(ops.convert_to_numpy(value))
