"""Warns of an epoch in which no label counted."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from keras_s2s.training.losses.metrics import LossTracker


class EmptyEpochs(keras.callbacks.Callback):
    """Warns, once in a call of `fit`, of the first epoch in which no label counted.

    Data that are read batch by batch, such as those of a generator, are not known before: labels
    that are all ignored train nothing, and their loss of 0 looks like success.
    """

    def __init__(self) -> None:
        super().__init__()
        self._epoch = 0
        self._is_looked_at = False
        self._has_warned = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch, self._is_looked_at = epoch, False

    def on_test_begin(self, logs: Any = None) -> None:
        # Validation begins the count anew.
        self._look()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._look()

    def _look(self) -> None:
        tracker = getattr(self.model, "_loss_tracker", None)
        if self._is_looked_at or self._has_warned or not isinstance(tracker, LossTracker):
            return
        self._is_looked_at = True
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        if keras.ops.convert_to_numpy(tracker.tokens):
            return
        self._has_warned = True
        warnings.warn(
            f"epoch {self._epoch + 1}: nothing was trained, since no label of its batches counts "
            "(all are -100, or weigh 0); look at labels, decoder_padding_mask and sample_weight",
            stacklevel=2,
        )
