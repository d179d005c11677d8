"""Accumulated gradients of small batches are those of one large batch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from small_models import (
    covered,
    make_model,
    shrunken_preset,
    slow_where_compiled,
    to_numpy,
    without_dropout,
)

from keras_s2s import Seq2SeqLM
from keras_s2s.training.optimizers.inner_optimizers import inner_optimizers, main_optimizer

ROWS, LENGTH = 12, 5
#: Targets of 1 to 5 tokens: in each step of 3 batches of 2 rows some count twice as much as others
#: where each batch counts the same.
LENGTHS = np.array([5, 5, 1, 1, 2, 1, 1, 2, 5, 4, 3, 3])


def data() -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    mask = np.arange(LENGTH) < LENGTHS[:, None]
    ids = draw.integers(4, 16, (ROWS, LENGTH + 1)).astype("int32") * np.pad(
        mask, ((0, 0), (1, 0)), constant_values=True
    )
    ids[:, 0] = 2
    inputs = {
        "encoder_token_ids": draw.integers(4, 16, (ROWS, 4)).astype("int32"),
        "encoder_padding_mask": np.ones((ROWS, 4), bool),
        "decoder_token_ids": ids[:, :-1],
        "decoder_padding_mask": mask,
    }
    return inputs, ids[:, 1:], draw.choice([0.5, 1.0, 2.0], (ROWS, LENGTH)).astype("float32")


def weights_of(model: Seq2SeqLM) -> list[np.ndarray]:
    return [to_numpy(weight).copy() for weight in model.weights]


def trained(
    optimizer: Any, batch_size: int, *, weighted: bool = False, **compiled: Any
) -> tuple[Seq2SeqLM, dict[str, list[float]]]:
    keras.utils.set_random_seed(3)
    model = make_model(without_dropout(shrunken_preset("transformer_tiny")))
    model.compile(optimizer, label_smoothing=0.1, **compiled)
    inputs, labels, weights = data()
    history = model.fit(
        *(inputs, labels),
        sample_weight=weights if weighted else None,
        batch_size=batch_size,
        epochs=2,
        shuffle=False,
        verbose=0,
    )
    return model, history.history


def assert_same_weights(found: Seq2SeqLM, expected: Seq2SeqLM, atol: float = 1e-5) -> None:
    for a, b in zip(weights_of(found), weights_of(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


CASES: dict[str, dict[str, Any]] = {
    "fused": {"fused_loss": True},
    "plain": {"fused_loss": False},
    "weights": {"weighted": True},
    "clipped": {},
    "groups": {"learning_rates": {"decoder": 0.1}},
}


@pytest.mark.parametrize("name", covered(list(CASES), ["fused", "groups"]))
def test_accumulated_batches_are_one_batch(name: str) -> None:
    # Three batches of 2 rows a step, and two steps an epoch: the sums begin anew.
    options = {"learning_rate": 0.5, "global_clipnorm": 0.5 if name == "clipped" else None}
    small = keras.optimizers.SGD(**options, gradient_accumulation_steps=3)
    found, history = trained(small, 2, **CASES[name])
    expected, wanted = trained(keras.optimizers.SGD(**options), 6, **CASES[name])
    assert_same_weights(found, expected)
    assert main_optimizer(found.optimizer).iterations == 4  # which schedules follow
    # Losses and metrics stay those of the batches.
    for key, values in wanted.items():
        np.testing.assert_allclose(history[key], values, rtol=1e-5, err_msg=key)


def test_each_batch_alike_would_be_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = trained(keras.optimizers.SGD(0.5), 6)
    monkeypatch.setattr("keras_s2s.training.trainable_model.token_accumulation", lambda _: None)
    found, _ = trained(keras.optimizers.SGD(0.5, gradient_accumulation_steps=3), 2)
    with pytest.raises(AssertionError):
        assert_same_weights(found, expected, atol=1e-2)


@slow_where_compiled
def test_batches_without_tokens() -> None:
    inputs, labels, _ = data()
    weights = np.ones((ROWS, LENGTH), "float32")
    weights[[0, 1, 4, 5]] = 0.0  # the first and the last batch of a step
    weights[6:] = 0.0  # a whole step
    results = []
    for batch_size, steps in ((2, 3), (6, None)):
        keras.utils.set_random_seed(3)
        model = make_model(without_dropout(shrunken_preset("transformer_tiny")))
        model.compile(keras.optimizers.SGD(0.5, gradient_accumulation_steps=steps))
        options = {"batch_size": batch_size, "shuffle": False, "verbose": 0}
        model.fit(inputs, labels, sample_weight=weights, **options)
        results.append(model)
    assert_same_weights(*results)


@slow_where_compiled
def test_a_saved_model_goes_on_within_an_accumulation(tmp_path) -> None:
    inputs, labels, _ = data()
    halves = [
        ({name: values[rows] for name, values in inputs.items()}, labels[rows])
        for rows in (slice(0, 4), slice(4, 12))
    ]
    options: dict[str, Any] = {"batch_size": 2, "shuffle": False, "verbose": 0}
    optimizer = keras.optimizers.Adam(0.1, gradient_accumulation_steps=3)
    keras.utils.set_random_seed(3)
    model = make_model(without_dropout(shrunken_preset("transformer_tiny")))
    model.compile(optimizer)
    model.fit(*halves[0], **options)
    model.save(tmp_path / "model.keras")
    model.fit(*halves[1], **options)
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert "accumulated over 3 batches" in "\n".join(again.training_report())
    again.fit(*halves[1], **options)
    assert_same_weights(again, model, atol=0)


def test_a_compiled_model_accumulates_no_longer_with_another_optimiser() -> None:
    model = make_model(without_dropout(shrunken_preset("transformer_tiny")))
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=2)
    model.compile(optimizer)
    count = len(optimizer.variables)
    model.compile(optimizer)
    assert len(optimizer.variables) == count
    model.compile("sgd")
    assert not any("accumulated" in line for line in model.training_report())


def test_optimisers_within_others() -> None:
    model = make_model(without_dropout(shrunken_preset("transformer_tiny")))
    plain = keras.optimizers.SGD(0.5)
    model.compile(plain, learning_rates={"decoder": 0.1, "encoder": 0.2})
    groups = inner_optimizers(model.optimizer)
    rates = [float(ops.convert_to_numpy(each.learning_rate)) for each in groups]
    assert rates == pytest.approx([0.1, 0.2, 0.5])
    model.optimizer.build(model.trainable_variables)
    assert main_optimizer(model.optimizer) is groups[-1]
    wrapped = keras.optimizers.LossScaleOptimizer(plain)
    assert inner_optimizers(wrapped) == [plain]
    assert main_optimizer(wrapped) is plain
    model.compile("sgd", learning_rates={"*": 0.1})
    model.optimizer.build(model.trainable_variables)
    assert main_optimizer(model.optimizer) is inner_optimizers(model.optimizer)[0]


def test_groups_with_other_numbers_of_batches_are_refused() -> None:
    model = make_model(without_dropout(shrunken_preset("transformer_tiny")))
    other = keras.optimizers.SGD(gradient_accumulation_steps=2)
    with pytest.raises(ValueError, match=r"different gradient_accumulation_steps \(1, 2\)"):
        model.compile("sgd", learning_rates={"decoder": other})


@slow_where_compiled
def test_float16() -> None:
    """Keras scales the loss, and skips batches whose gradients overflow."""
    inputs, labels, _ = data()
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        keras.utils.set_random_seed(3)
        model = make_model(without_dropout(shrunken_preset("transformer_tiny")))
        model.compile(keras.optimizers.SGD(0.5, gradient_accumulation_steps=3))
        history = model.fit(inputs, labels, batch_size=2, epochs=8, shuffle=False, verbose=0)
    finally:
        keras.config.set_dtype_policy(policy)
    assert type(model.optimizer).__name__ == "LossScaleOptimizer"
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert all(np.isfinite(ops.convert_to_numpy(w.value)).all() for w in model.weights)
