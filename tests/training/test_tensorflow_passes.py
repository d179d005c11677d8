"""Batches reach TensorFlow without the autotuner of tf.data, in the order that they state."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from small_models import make_model, shrunken_preset, without_dropout

from keras_s2s.data import Batches
from keras_s2s.training import tensorflow_passes

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


@pytest.fixture
def seen(monkeypatch):
    """The data that Keras' trainer reads."""
    found = []
    iterator = keras.src.backend.tensorflow.trainer.TFEpochIterator
    begin = iterator.__init__

    def watched(self, x=None, **options):
        found.append(x)
        begin(self, x=x, **options)

    monkeypatch.setattr(iterator, "__init__", watched)
    return found


def test_autotuner_is_off(seen):
    """Its thread may hold up the first step of an epoch for up to a minute."""
    model, batches = model_and_batches()
    model.fit(batches, validation_data=batches, verbose=0)
    model.evaluate(batches, verbose=0)
    assert len(seen) == 3
    assert all(data.options().autotune.enabled is False for data in seen)


def test_autotuner_is_off_for_arrays(seen):
    model, x, y, weights = arrays()
    model.fit(x, y, sample_weight=weights, validation_data=(x, y), verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    assert len(seen) == 4
    assert all(data.options().autotune.enabled is False for data in seen)


def arrays(rows=7):
    """A model, and arrays whose last batch is not full, with weights in float64."""
    model, _ = model_and_batches()
    rng = np.random.default_rng(1)
    eos = model.special_ids.target.eos
    source, target = rng.integers(4, 12, (2, rows, 5)).astype("int32")
    target[:, -1] = eos
    start = np.full((rows, 1), model.special_ids.target.decoder_start, "int32")
    x = {
        "encoder_token_ids": source,
        "encoder_padding_mask": np.ones(source.shape, bool),
        "decoder_token_ids": np.concatenate([start, target[:, :-1]], axis=1),
        "decoder_padding_mask": np.ones(target.shape, bool),
    }
    return model, x, target, rng.uniform(0.5, 2, rows)


@pytest.mark.parametrize("weighted", [False, True])
def test_arrays_train_as_with_keras(weighted, monkeypatch):
    """The same batches of the same rows; Keras' own way is asked for by its name for them."""
    found = []
    for own in (True, False):
        model, x, y, weights = arrays()
        more = {"sample_weight": weights} if weighted else {}
        held_out = (x, y, weights) if weighted else (x, y)
        if not own:
            keep = "keras_s2s.training.trainable_model.without_tuning"
            monkeypatch.setattr(keep, lambda model, given, validation=None: given)
        model.compile(keras.optimizers.SGD(0.1))
        history = model.fit(
            x, y, 3, epochs=2, shuffle=False, verbose=0, validation_data=held_out, **more
        ).history
        measured = model.evaluate(x, y, batch_size=2, verbose=0, return_dict=True, **more)
        found.append((history, measured, model.predict(x, batch_size=4, verbose=0)))
    (history, measured, logits), (theirs, their_measured, their_logits) = found
    assert history.keys() == theirs.keys() and len(history["loss"]) == 2
    for name, values in theirs.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5, err_msg=name)
    for name, value in their_measured.items():
        np.testing.assert_allclose(measured[name], value, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(logits, their_logits, atol=1e-5)


def test_arrays_have_no_autotuner():
    model, x, y, _ = arrays()
    given = tensorflow_passes.without_tuning(
        model, {"x": x, "y": y, "validation_data": (x, y), "batch_size": 2}, "validation_data"
    )
    assert given.keys() == {"x", "validation_data", "shuffle"} and given["shuffle"] is False
    for name, batches in (("x", 4), ("validation_data", 4)):
        assert given[name].options().autotune.enabled is False
        assert len(given[name]) == batches
    given = tensorflow_passes.without_tuning(model, {"x": x, "verbose": 0})
    assert len(given["x"]) == 1 and given["verbose"] == 0


@pytest.mark.parametrize(
    "asked",
    [
        {"steps_per_epoch": 2},
        {"validation_split": 0.5},
        {"shuffle": "batch"},
        {"x": [[1, 2]]},
        {"y": "texts"},
        {"x": {"ids": np.zeros((3, 2)), "nothing": None}},
    ],
)
def test_what_keras_does_itself(asked):
    model, x, y, _ = arrays()
    given = {"x": x, "y": y, **asked}
    found = tensorflow_passes.without_tuning(model, given, "validation_data")
    assert found == given and found["x"] is given["x"]


def test_rows_are_shuffled_anew_in_every_epoch():
    data = {"a": np.arange(50)}, np.arange(50) * 2
    epochs = []
    for number in range(4):
        if number % 2 == 0:  # the same two epochs again, by the same seed
            keras.utils.set_random_seed(3)
            dataset = tensorflow_passes.arrays_untuned(data, 8, shuffle=True)
        rows = [(x["a"].numpy(), y.numpy()) for x, y in dataset]
        assert [len(y) for _, y in rows] == [8] * 6 + [2]
        a, y = (np.concatenate(part) for part in zip(*rows, strict=True))
        np.testing.assert_array_equal(2 * a, y)
        assert sorted(a.tolist()) == list(range(50))
        epochs.append(a.tolist())
    assert epochs[0] != epochs[1] and list(range(50)) not in epochs
    assert epochs[2:] == epochs[:2]
    with pytest.raises(ValueError, match="have 49, 50 rows "):
        tensorflow_passes.arrays_untuned((data[0], data[1][1:]), 8, shuffle=True)


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
