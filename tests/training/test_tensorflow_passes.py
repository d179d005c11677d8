"""Batches reach TensorFlow without the autotuner of tf.data, in the order that they state."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from small_models import make_model, shrunken_preset, without_dropout

from keras_s2s.data import Batches

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf.data is TensorFlow's"
)


def model_and_batches():
    model = make_model(without_dropout(shrunken_preset("gru_bahdanau")))
    rng = np.random.default_rng(0)
    eos = model.special_ids.target.eos
    ids = [
        [[*rng.integers(4, 12, n).tolist(), eos] for n in rng.integers(2, 7, 9)] for _ in range(2)
    ]
    pairs = list(zip(*ids, strict=True))
    return model, Batches(pairs, special_ids=model.special_ids, batch_size=3, seed=5)


def test_autotuner_is_off(monkeypatch):
    """Its thread may hold up the first step of an epoch for up to a minute."""
    model, batches = model_and_batches()
    seen = []
    iterator = keras.src.backend.tensorflow.trainer.TFEpochIterator
    begin = iterator.__init__

    def watched(self, x=None, **options):
        seen.append(x)
        begin(self, x=x, **options)

    monkeypatch.setattr(iterator, "__init__", watched)
    model.fit(batches, validation_data=batches, verbose=0)
    model.evaluate(batches, verbose=0)
    assert len(seen) == 3
    assert all(data.options().autotune.enabled is False for data in seen)


def test_batches_move_on_as_with_keras():
    """The same epochs in the same order, whoever passes through them."""
    model, batches = model_and_batches()
    _, twin = model_and_batches()
    seen = []

    class Seen(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(batches.epoch)

    first = [x["decoder_token_ids"] for x, _, _ in batches.as_tf_dataset()]
    model.fit(batches, epochs=3, verbose=0, callbacks=[Seen()])
    assert seen == [0, 1, 2] and batches.epoch == 3
    other, _ = model_and_batches()
    other.fit(
        twin,
        epochs=3,
        verbose=0,
        callbacks=keras.callbacks.CallbackList([], add_history=True, model=other),
    )
    assert twin.epoch == 3
    for a, b in zip(model.weights, other.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=1e-6)
    assert len(first) == len(batches)
