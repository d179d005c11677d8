"""Progress of a run, over all processes that worked on it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import keras

from keras_s2s.config import TrainingConfig


def planned_epochs(training: TrainingConfig, batches: int) -> int:
    """Returns the epochs that a run has at most.

    Args:
        training: of the recipe.
        batches: of an epoch.

    Example:
        >>> planned_epochs(TrainingConfig(epochs=20, max_steps=100, accumulate=2), batches=60)
        3
    """
    if training.max_steps is None:
        return training.epochs
    return min(training.epochs, max(1, training.max_steps * training.accumulate // batches))


class Progress(keras.callbacks.Callback):
    """Counts epochs and steps, and keeps the values of each epoch.

    It is the last callback that sees the values of an epoch, so that they hold those that others
    add.

    Args:
        facts: of `facts()` of the piece before, where a run goes on.

    Attributes:
        first_epoch: where this piece begins, from 0 on.
        first_step: steps of that epoch that were done before.
        epoch: the current epoch, from 1 on; 0 before the first.
        step: steps of this epoch that are done.
        history: name -> its value in each epoch.
        seconds: of the pieces before.
        training_seconds: of `fit` in the pieces before.
    """

    def __init__(self, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        facts = facts or {}
        self.first_epoch: int = facts.get("epoch", 0)
        self.first_step: int = facts.get("step", 0)
        self.history: dict[str, list[float]] = facts.get("history", {})
        self.seconds: float = facts.get("seconds", 0.0)
        self.training_seconds: float = facts.get("training_seconds", 0.0)
        self.epoch = self.first_epoch + 1 if facts else 0
        self.step = self.first_step
        self._started = time.monotonic()
        self._training_started: float | None = None
        self._done = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self._training_started is None:
            self._training_started = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._done = self.first_step if epoch == self.first_epoch else 0
        self.epoch, self.step = epoch + 1, self._done

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.step = self._done + batch + 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))

    @property
    def has_begun(self) -> bool:
        """Whether a step has changed the weights."""
        return self.epoch > 1 or self.step > 0

    def elapsed(self) -> float:
        """Returns the seconds of all pieces."""
        return self.seconds + time.monotonic() - self._started

    def trained(self) -> float:
        """Returns the seconds of `fit` in all pieces."""
        started = self._training_started
        return self.training_seconds + (0.0 if started is None else time.monotonic() - started)

    def facts(self, epoch: int, step: int) -> dict[str, Any]:
        """Returns what the next piece needs to go on, as JSON values.

        Args:
            epoch: in which it goes on, from 0 on.
            step: steps of that epoch that are done.
        """
        return {
            "epoch": epoch,
            "step": step,
            "history": self.history,
            "seconds": self.elapsed(),
            "training_seconds": self.trained(),
        }
