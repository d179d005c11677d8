"""Losses and metrics of Keras, and a user's own, given to `compile`."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
from contracts import checks
from keras import ops
from small_models import make_model, shrunken_preset, slow_where_compiled

from keras_s2s import Seq2SeqLM
from keras_s2s.training.losses.given_losses import as_token_loss
from keras_s2s.training.losses.given_metrics import as_token_metrics
from keras_s2s.training.losses.loss import TokenCrossEntropy
from keras_s2s.training.losses.metrics import Perplexity, TokenAccuracy

RNG = np.random.default_rng(5)
LOGITS = RNG.normal(size=(3, 4, 7)).astype("float32") * 3
LABELS = RNG.integers(0, 7, (3, 4)).astype("int32")
WEIGHTS = np.asarray([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], "float32")


@pytest.fixture(scope="module")
def model() -> Seq2SeqLM:
    return make_model(shrunken_preset("gru_bahdanau"), seed=1)


def value(tensor: Any) -> float:
    return float(ops.convert_to_numpy(tensor))


def from_logits(y_true: Any, y_pred: Any) -> Any:
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


def whole_row(y_true: Any, y_pred: Any) -> Any:
    """Whether a row's first two labels are right, one value a row."""
    right = ops.equal(ops.cast(ops.argmax(y_pred, -1), "int32"), ops.cast(y_true, "int32"))
    return ops.cast(ops.all(right[:, :2], axis=1), "float32")


@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean"),
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        from_logits,
        TokenCrossEntropy(),
    ],
    ids=["sum_over_batch_size", "mean", "mean_with_sample_weight", "function", "ours"],
)
def test_any_loss_is_a_mean_over_real_tokens(loss) -> None:
    expected = value(TokenCrossEntropy()(LABELS, LOGITS, sample_weight=WEIGHTS))
    found = as_token_loss(loss)(LABELS, LOGITS, sample_weight=WEIGHTS)
    assert value(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        "crossentropy",
        keras.losses.SparseCategoricalCrossentropy(),
        keras.losses.SparseCategoricalCrossentropy,
        keras.losses.sparse_categorical_crossentropy,
        {"logits": "sparse_categorical_crossentropy"},
        ["sparse_categorical_crossentropy"],
    ],
    ids=["name", "short_name", "object", "class", "function", "by_output", "listed"],
)
def test_a_loss_of_probabilities_is_refused_with_the_remedy(model, loss) -> None:
    with pytest.raises(ValueError, match=r"outputs are logits.*Leave loss out.*from_logits=True"):
        model.compile("sgd", loss=loss)


@pytest.mark.parametrize(
    "loss",
    [
        "mse",
        keras.losses.mean_absolute_error,
        keras.losses.Huber(),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        keras.losses.BinaryCrossentropy(from_logits=True),
    ],
    ids=["name", "function", "object", "one_hot", "binary"],
)
def test_a_loss_that_does_not_take_ids_is_refused_with_the_remedy(model, loss) -> None:
    with pytest.raises(ValueError, match=r"does not go with labels .* are ids.*Leave loss out"):
        model.compile("sgd", loss=loss)


@pytest.mark.parametrize(
    "metric",
    [
        "sparse_categorical_crossentropy",
        keras.metrics.SparseCategoricalCrossentropy(),
        keras.losses.sparse_categorical_crossentropy,
    ],
    ids=["name", "object", "function"],
)
@pytest.mark.parametrize("argument", ["metrics", "weighted_metrics"])
def test_a_metric_of_probabilities_is_refused(model, metric, argument) -> None:
    with pytest.raises(ValueError, match=r"outputs are logits"):
        model.compile("sgd", **{argument: [metric]})


@pytest.mark.parametrize("reduction", ["sum", None])
def test_a_loss_that_grows_with_its_batch_is_refused(model, reduction) -> None:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
    with pytest.raises(ValueError, match=r"grows with the batch.*mean_with_sample_weight"):
        model.compile("sgd", loss=loss)


def test_a_loss_of_another_shape_is_refused() -> None:
    loss = as_token_loss(lambda y_true, y_pred: ops.mean(y_pred, axis=(1, 2)))
    with pytest.raises(ValueError, match=r"shape \(3,\) for labels of shape \(3, 4\)"):
        loss(LABELS, LOGITS, sample_weight=WEIGHTS)


def test_metrics_of_keras_and_functions_are_means_over_tokens_or_rows() -> None:
    accuracy, keras_accuracy, entropy, rows = as_token_metrics(
        [
            "accuracy",
            keras.metrics.SparseCategoricalAccuracy(),
            keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="ce"),
            whole_row,
        ]
    )
    ours, perplexity = TokenAccuracy(), Perplexity()
    labels = np.where(WEIGHTS > 0, LOGITS.argmax(-1), LABELS)
    labels[0, 3] = (labels[0, 3] + 1) % 7
    for row in range(3):  # batch by batch, with unequal numbers of tokens
        part = slice(row, row + 1)
        for metric in (accuracy, keras_accuracy, entropy, rows, ours, perplexity):
            metric.update_state(labels[part], LOGITS[part], sample_weight=WEIGHTS[part])
    assert value(ours.result()) == pytest.approx(6 / 7)
    assert value(accuracy.result()) == pytest.approx(6 / 7)
    assert value(keras_accuracy.result()) == pytest.approx(6 / 7)
    assert value(entropy.result()) == pytest.approx(math.log(value(perplexity.result())), rel=1e-5)
    right = [bool((labels[row, :2] == LOGITS[row, :2].argmax(-1)).all()) for row in range(3)]
    assert value(rows.result()) == pytest.approx(sum(right) / 3)
    assert [m.name for m in (accuracy, keras_accuracy, entropy, rows)] == [
        "accuracy",
        "sparse_categorical_accuracy",
        "ce",
        "whole_row",
    ]


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX compiles loops")
def test_compiling_a_loop_is_refused(model) -> None:
    with pytest.raises(ValueError, match=r"recurrent layer.*leave jit_compile out"):
        model.compile("sgd", jit_compile=True)
    model.compile("sgd", jit_compile=False)


@slow_where_compiled
def test_a_users_loss_and_metrics_are_logged_and_saved(model, tmp_path) -> None:
    model.compile(
        "sgd",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        weighted_metrics=[Perplexity(), keras.metrics.SparseTopKCategoricalAccuracy(2)],
    )
    batches = checks.copy_batches(model)
    before = model.evaluate(batches, verbose=0, return_dict=True)
    assert set(before) == {
        "loss",
        "perplexity",
        "accuracy",
        "sparse_top_k_categorical_accuracy",
    }
    assert before["loss"] == pytest.approx(math.log(before["perplexity"]), rel=1e-5)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras").evaluate(
        batches, verbose=0, return_dict=True
    )
    assert again == pytest.approx(before, rel=1e-5)
