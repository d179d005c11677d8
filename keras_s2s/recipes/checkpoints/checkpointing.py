"""Writes checkpoints while a run trains."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_s2s.config import CheckpointsConfig
from keras_s2s.recipes.checkpoints.run_checkpoints import RunCheckpoint, RunCheckpoints
from keras_s2s.recipes.progress import Progress
from keras_s2s.training.training_state import captured_state


class Checkpointing(keras.callbacks.Callback):
    """Writes the state of a run at the end of each epoch, and within it as a recipe says.

    It is the last callback: what the others do with a step or an epoch is done when a state is
    written, and is done again where it is not.

    Args:
        checkpoints: where they are written.
        config: when.
        progress: how far the run has got.
        facts: returns what else is written, as JSON values.
        steps: of an epoch.
        epochs: of the run.

    Attributes:
        last: epoch, from 0 on, and step of the last state that was written; None before the first.
    """

    def __init__(
        self,
        checkpoints: RunCheckpoints,
        config: CheckpointsConfig,
        progress: Progress,
        facts: Callable[[], Mapping[str, Any]],
        *,
        steps: int,
        epochs: int,
    ) -> None:
        super().__init__()
        self.checkpoints = checkpoints
        self.config = config
        self.progress = progress
        self.facts = facts
        self.steps = steps
        self.epochs = epochs
        self.last: tuple[int, int] | None = None
        self._time = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        step = self.progress.step
        if step < self.steps and self._is_due():
            self._write(self.progress.epoch - 1, step, is_finished=False)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        is_finished = self.model.stop_training or epoch + 1 == self.epochs
        self._write(epoch + 1, 0, is_finished=is_finished)

    def _is_due(self) -> bool:
        steps, minutes = self.config.steps, self.config.minutes
        done = (self.progress.epoch - 1) * self.steps + self.progress.step
        return (steps is not None and done % steps == 0) or (
            minutes is not None and time.monotonic() - self._time >= 60 * minutes
        )

    def _write(self, epoch: int, step: int, *, is_finished: bool) -> None:
        facts = {
            **self.progress.facts(epoch, step),
            "is_finished": is_finished,
            **self.facts(),
        }
        checkpoint = RunCheckpoint(captured_state(self.model), facts)
        if self.checkpoints.write(epoch * self.steps + step, checkpoint):
            self.last = (epoch, step)
        # Also after a failure, so that a full disk is not tried at every step.
        self._time = time.monotonic()
