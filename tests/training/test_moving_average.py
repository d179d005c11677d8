"""The moving average of the weights is validated and saved; the trained weights go on."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops
from small_models import slow_where_compiled
from training.small_training import small_batches, small_model

from keras_s2s.config import OptimizerConfig
from keras_s2s.data import Batches
from keras_s2s.model import Seq2SeqLM
from keras_s2s.training.optimizers.moving_average import AverageIn, averages
from keras_s2s.training.optimizers.schedules import make_optimizer


def start(**options) -> tuple[Seq2SeqLM, Batches]:
    keras.utils.set_random_seed(1)
    model = small_model()
    model.compile(keras.optimizers.Adam(0.01, **options))
    return model, small_batches(model, pairs=16, num_buckets=1)


def weights_of(model: Seq2SeqLM) -> list[np.ndarray]:
    if keras.backend.backend() == "jax":
        model.jax_state_sync()
    return [np.array(ops.convert_to_numpy(weight.value)) for weight in model.trainable_weights]


class Recorded(keras.callbacks.Callback):
    """Weights after each step, and at the end of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[list[np.ndarray]] = []
        self.epochs: list[list[np.ndarray]] = []

    def on_train_batch_end(self, batch, logs=None) -> None:
        self.steps.append(weights_of(self.model))

    def on_epoch_end(self, epoch, logs=None) -> None:
        self.epochs.append(weights_of(self.model))


def test_the_average_is_a_plain_sum_and_changes_no_training() -> None:
    model, batches = start()
    plain = Recorded()
    model.fit(batches, epochs=2, verbose=0, callbacks=[plain])

    momentum = 0.9
    expected = []
    average = plain.steps[0]
    for number, weights in enumerate(plain.steps):
        if number:
            average = [
                momentum * a + (1 - momentum) * w for a, w in zip(average, weights, strict=True)
            ]
        if (number + 1) % len(batches) == 0:
            expected.append(average)

    model, batches = start(use_ema=True, ema_momentum=momentum)
    swapped, seen, after = AverageIn(), Recorded(), Recorded()
    history = model.fit(
        batches,
        epochs=2,
        verbose=0,
        validation_data=batches.rest_of_epoch(0),
        callbacks=[swapped, seen, swapped.out, after],
    ).history
    for found, wanted in zip(seen.steps, plain.steps, strict=True):
        np.testing.assert_array_equal(found[0], wanted[0])
    for found, wanted in zip(seen.epochs, expected, strict=True):
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for found, wanted in zip(after.epochs, plain.epochs, strict=True):
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(weights_of(model), plain.epochs[-1], strict=True):
        np.testing.assert_array_equal(a, b)

    # Validation has measured the average.
    other, _ = start()
    for weight, value in zip(other.trainable_weights, expected[-1], strict=True):
        weight.assign(value)
    measured = other.evaluate(batches, verbose=0, return_dict=True)
    np.testing.assert_allclose(history["val_loss"][-1], measured["loss"], rtol=1e-5)


@slow_where_compiled
def test_the_momentum_of_a_recipe_is_of_steps_over_several_batches() -> None:
    optimizer = make_optimizer(OptimizerConfig(name="sgd"), total_steps=9, ema=0.9, accumulate=2)
    model, batches = start()
    model.compile(optimizer)
    steps, swapped = Recorded(), AverageIn()
    model.fit(batches, epochs=1, verbose=0, callbacks=[steps, swapped, swapped.out])
    assert len(batches) == 4
    model.fit(batches.rest_of_epoch(3), epochs=1, verbose=0)  # the first batch of the third step
    first, second = steps.steps[1], steps.steps[3]
    found = [np.array(ops.convert_to_numpy(average.value)) for _, average in averages(model)]
    assert len(found) == len(first)
    for average, a, b in zip(found, first, second, strict=True):
        np.testing.assert_allclose(average, 0.9 * a + 0.1 * b, rtol=1e-5, atol=1e-7)


def test_an_optimiser_without_an_average_is_refused() -> None:
    model, batches = start()
    with pytest.raises(ValueError, match="keeps no moving average"):
        model.fit(batches, epochs=1, verbose=0, callbacks=[AverageIn()])
