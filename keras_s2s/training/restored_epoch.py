"""Moves batches on to the epoch in which `keras.callbacks.BackupAndRestore` goes on."""

from __future__ import annotations

from typing import Any

import keras

from keras_s2s.data.batches import Batches


class RestoredEpoch(keras.callbacks.Callback):
    """Moves the order of batches on by the epochs that `fit` leaves out.

    Keras numbers the epochs of a `fit`, and a callback may move its first epoch on; `Batches`
    number their own, over several calls of `fit`.

    Args:
        batches: of the training.
        initial_epoch: as `fit` was called with.
    """

    def __init__(self, batches: Batches, initial_epoch: int) -> None:
        super().__init__()
        self.batches = batches
        self.initial_epoch = initial_epoch
        self._is_first = True

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._is_first and epoch > self.initial_epoch:
            self.batches.epoch += epoch - self.initial_epoch
        self._is_first = False
