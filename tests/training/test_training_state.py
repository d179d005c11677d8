"""The state of a training holds all that the next step depends on."""

from __future__ import annotations

import random

import keras
import numpy as np
import pytest
from keras import ops
from small_models import slow_where_compiled
from training.small_training import small_batches, small_model

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.data import Batches
from keras_s2s.model import Seq2SeqLM
from keras_s2s.training.training_state import (
    RestoredState,
    captured_state,
    restore_metrics,
    restore_state,
)


def model_in_training() -> Seq2SeqLM:
    model = small_model(dropout=0.3)
    model.compile(keras.optimizers.Adam(0.01), label_smoothing=0.1)
    return model


def batches(model: Seq2SeqLM) -> Batches:
    return small_batches(model, pairs=24, num_buckets=2)


def values(model: Seq2SeqLM) -> list[np.ndarray]:
    return [np.array(ops.convert_to_numpy(v.value)) for v in model.variables]


@slow_where_compiled  # tests/recipes/test_resuming.py does the same on every backend
def test_training_goes_on_in_another_model_as_in_the_first() -> None:
    keras.utils.set_random_seed(1)
    first = model_in_training()
    data = batches(first)
    first.fit(data, epochs=1, verbose=0)
    state = captured_state(first)
    expected = first.fit(data, epochs=1, verbose=0).history
    draws = (random.random(), np.random.normal(size=3))

    keras.utils.set_random_seed(2)
    second = model_in_training()
    other = batches(second)
    other.epoch = 1
    restore_state(second, state)
    random.random()
    restored = RestoredState(state, within_epoch=False)
    assert second.fit(other, epochs=1, verbose=0, callbacks=[restored]).history == expected
    for found, wanted in zip(values(second), values(first), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert random.random() == draws[0]
    np.testing.assert_array_equal(np.random.normal(size=3), draws[1])


def test_the_sums_of_metrics_are_put_back() -> None:
    keras.utils.set_random_seed(1)
    first = model_in_training()
    first.evaluate(batches(first), verbose=0)
    state = captured_state(first)
    second = model_in_training()  # whose metrics have no variables yet
    restore_metrics(second, state)
    for name, value in first.get_metrics_result().items():
        assert float(second.get_metrics_result()[name]) == float(value)


def test_the_state_of_another_model_is_refused() -> None:
    first = model_in_training()
    first.optimizer.build(first.trainable_variables)
    state = captured_state(first)
    second = model_in_training()
    second.compile(keras.optimizers.SGD(0.1))
    with pytest.raises(CheckpointError, match="optimizer/2 has no variable"):
        restore_state(second, state)
    with pytest.raises(CheckpointError, match="model/0 is missing"):
        restore_state(first, {n: a for n, a in state.items() if n != "model/0"})
    with pytest.raises(CheckpointError, match=r"model/0 has the shape \(1,\)"):
        restore_state(first, {**state, "model/0": np.zeros(1)})
