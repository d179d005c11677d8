"""Makes training begin with the right epoch of batches, also where a `fit` goes on."""

from __future__ import annotations

from typing import Any

import keras

from keras_s2s.data.batches import Batches


class RestoredEpoch(keras.callbacks.Callback):
    """Begins with the order that batches have, moved on by the epochs that `fit` leaves out.

    Keras numbers the epochs of a `fit`, and a callback may move its first epoch on
    (`keras.callbacks.BackupAndRestore`); `Batches` number their own, over several calls of `fit`.
    Before the first step Keras looks at a batch to build a model, and then says that an epoch has
    ended: with workers of its own `Batches` cannot tell that from a whole one.

    Args:
        batches: of the training.
        initial_epoch: as `fit` was called with.
    """

    def __init__(self, batches: Batches, initial_epoch: int) -> None:
        super().__init__()
        self.batches = batches
        self.initial_epoch = initial_epoch
        self._is_first = True
        self._epoch = batches.epoch

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.batches.epoch = self._epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._is_first and epoch > self.initial_epoch:
            self.batches.epoch += epoch - self.initial_epoch
        self._is_first = False
