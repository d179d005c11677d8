"""Keras' own `BackupAndRestore` goes on with `fit` on batches as if it had never stopped."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from training.small_training import small_batches, small_model

from keras_s2s.data import Batches
from keras_s2s.model import Seq2SeqLM


class Stopped(Exception):
    """Ends a training within an epoch."""


class StopIn(keras.callbacks.Callback):
    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch, self.now = epoch, 0

    def on_epoch_begin(self, epoch: int, logs=None) -> None:
        self.now = epoch

    def on_train_batch_end(self, batch: int, logs=None) -> None:
        if (self.now, batch) == (self.epoch, 1):
            raise Stopped


def start() -> tuple[Seq2SeqLM, Batches]:
    keras.utils.set_random_seed(1)
    model = small_model()
    model.compile(keras.optimizers.Adam(0.01))
    return model, small_batches(model, pairs=24, num_buckets=2)


def weights_of(model: Seq2SeqLM) -> list[np.ndarray]:
    return [np.array(ops.convert_to_numpy(weight.value)) for weight in model.weights]


def test_a_fit_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path) -> None:
    model, batches = start()
    expected = model.fit(batches, epochs=4, verbose=0).history
    expected_weights = weights_of(model)

    backup = str(tmp_path / "backup")
    model, batches = start()
    callbacks = [keras.callbacks.BackupAndRestore(backup), StopIn(2)]
    with pytest.raises(Stopped):
        model.fit(batches, epochs=4, verbose=0, callbacks=callbacks)

    model, batches = start()  # as in another process
    callbacks = [keras.callbacks.BackupAndRestore(backup)]
    found = model.fit(batches, epochs=4, verbose=0, callbacks=callbacks).history
    assert batches.epoch == 4
    assert found == {name: values[2:] for name, values in expected.items()}
    for weight, wanted in zip(weights_of(model), expected_weights, strict=True):
        np.testing.assert_array_equal(weight, wanted)


def test_an_initial_epoch_of_the_caller_moves_no_order() -> None:
    model, batches = start()
    model.fit(batches, initial_epoch=5, epochs=6, verbose=0)
    assert batches.epoch == 1
