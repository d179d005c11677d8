"""The message of an interrupted run: what it has written so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras


class Position(keras.callbacks.Callback):
    """How far a training has got.

    Attributes:
        epoch: from 1 on; 0 before the first.
        step: steps of this epoch that are done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0
        self.step = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch, self.step = epoch + 1, 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.step = batch + 1

    @property
    def has_begun(self) -> bool:
        """Whether a step has changed the weights."""
        return self.epoch > 1 or self.step > 0


def what_is_kept(
    position: Position,
    steps: int,
    directory: Path,
    *,
    best_epoch: int | None,
    has_earlier_model: bool,
) -> str:
    """Returns the message for a run that was interrupted with Ctrl-C.

    Args:
        position: where the training was.
        steps: of an epoch.
        directory: the run's folder.
        best_epoch: the epoch whose model is there, from 0 on; None where none was measured.
        has_earlier_model: the folder still holds what it held before the run.

    Example:
        interrupted in epoch 1, after 37 of 469 steps; runs/dates has the model as it was then,
        which was never measured
    """
    if best_epoch is not None:
        return (
            f"interrupted in epoch {position.epoch}; {directory} has the model of epoch "
            f"{best_epoch + 1}, the best so far"
        )
    if has_earlier_model:
        return f"interrupted in epoch {max(1, position.epoch)}; {directory} has the earlier model"
    if not position.has_begun:
        return "interrupted before the first step; nothing was saved"
    return (
        f"interrupted in epoch {position.epoch}, after {position.step} of {steps} steps; "
        f"{directory} has the model as it was then, which was never measured"
    )
