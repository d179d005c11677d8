"""R-Drop against its formula in NumPy, on the logits of the two passes of a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from small_batch import INPUTS, LABELS
from small_models import covered, make_model, shrunken_preset, to_numpy, without_dropout

from keras_s2s import Seq2SeqLM
from keras_s2s.config import ConfigError, TrainingConfig
from keras_s2s.recipes.compiling import compile_by
from keras_s2s.training.losses import r_drop
from keras_s2s.training.training_state import captured_state, restore_random_state, restore_state

WEIGHTS = np.array([[1.0, 2.0, 1.0], [0.5, 1.0, 1.0]], "float32")
NAMES = ["transformer_tiny", "gru_bahdanau"]


def by_hand(logits: np.ndarray, weights: np.ndarray) -> float:
    """Mean of (KL(p || q) + KL(q || p)) / 2 in float64, token by token."""
    half, total = len(logits) // 2, 0.0
    for row in range(half):
        for place in range(logits.shape[1]):
            p, q = (
                np.exp(x - x.max()) / np.exp(x - x.max()).sum()
                for x in logits[[row, row + half], place].astype("float64")
            )
            both = (p * np.log(p / q)).sum() + (q * np.log(q / p)).sum()
            total += weights[row, place] * both / 2
    return total / weights[:half].sum()


def model_with_dropout(name: str = "transformer_tiny", **compiled: Any) -> Seq2SeqLM:
    model = make_model(shrunken_preset(name), scale=2.0)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dropout) and layer.rate:
            layer.rate = 0.3
    model.compile(keras.optimizers.SGD(0.0), **compiled)
    return model


def test_divergence_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 4, 5)).astype("float32") * 3
    weights = np.tile(rng.choice([0.0, 0.5, 1.0], (3, 4)).astype("float32"), (2, 1))
    found = r_drop.divergence(ops.convert_to_tensor(logits), ops.convert_to_tensor(weights))
    np.testing.assert_allclose(to_numpy(found), by_hand(logits, weights), rtol=1e-5)
    nothing = r_drop.divergence(ops.convert_to_tensor(logits), ops.zeros((6, 4)))
    assert float(to_numpy(nothing)) == 0.0


@pytest.mark.parametrize("name", covered(NAMES, ["transformer_tiny"]))
def test_the_loss_of_a_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The logits of a step are recorded, so that its loss can be computed by hand."""
    alpha, recorded = 4.0, []
    real = Seq2SeqLM.compute_loss

    def recording(self: Any, x: Any, y: Any, y_pred: Any, *args: Any, **kwargs: Any) -> Any:
        recorded.append(y_pred)
        return real(self, x, y, y_pred, *args, **kwargs)

    monkeypatch.setattr(Seq2SeqLM, "compute_loss", recording)
    # JAX differentiates a function that it traces; there the step is run by hand.
    model = model_with_dropout(name, r_drop=alpha, run_eagerly=keras.backend.backend() != "jax")
    mask = INPUTS["decoder_padding_mask"]
    if keras.backend.backend() == "jax":
        with r_drop.rows_twice(alpha, (INPUTS, LABELS, WEIGHTS)) as (x, y, weights):
            logits = model(x, training=True)
            loss = float(to_numpy(model.compute_loss(x, y, logits, weights, training=True)))
    else:
        loss = model.train_on_batch(INPUTS, LABELS, WEIGHTS, return_dict=True)["loss"]
    logits = to_numpy(recorded[-1])
    assert logits.shape[0] == 2 * len(LABELS)
    assert np.abs(logits[:2] - logits[2:]).max() > 1e-3, "dropout was the same in both passes"
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    weights = np.tile(WEIGHTS * mask, (2, 1))
    own = np.take_along_axis(log_probs, np.tile(LABELS, (2, 1))[..., None], axis=-1)[..., 0]
    expected = -(own * weights).sum() / weights.sum() + alpha / 2 * by_hand(logits, weights)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_training_makes_the_passes_agree() -> None:
    def trained(alpha: float) -> float:
        model = model_with_dropout(r_drop=alpha)
        model.optimizer.learning_rate.assign(0.05)
        for _ in range(30):
            model.train_on_batch(INPUTS, LABELS)
        with r_drop.rows_twice(1.0, (INPUTS, LABELS)) as (x, _, weights):
            return float(to_numpy(r_drop.divergence(model(x, training=True), weights)))

    assert trained(20.0) < 0.7 * trained(0.0)


def test_evaluation_and_the_steps_of_others_are_as_without() -> None:
    plain, twice = model_with_dropout(fused_loss=False), model_with_dropout(r_drop=3.0)
    found = [
        model.evaluate(INPUTS, LABELS, verbose=0, return_dict=True) for model in (plain, twice)
    ]
    assert found[0] == found[1]
    inputs = {name: ops.convert_to_tensor(value) for name, value in INPUTS.items()}
    logits = twice(inputs)
    loss = twice.compute_loss(inputs, ops.convert_to_tensor(LABELS), logits, training=True)
    np.testing.assert_allclose(to_numpy(loss), found[1]["loss"], rtol=1e-5)


def test_with_accumulation_and_scheduled_sampling() -> None:
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    model = model_with_dropout()
    model.compile(optimizer, r_drop=2.0, teacher_forcing=0.5)
    before = [to_numpy(weight).copy() for weight in model.trainable_variables]
    losses = [model.train_on_batch(INPUTS, LABELS, return_dict=True)["loss"] for _ in range(2)]
    assert np.isfinite(losses).all()
    after = [to_numpy(weight) for weight in model.trainable_variables]
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    assert "R-Drop of weight 2: each row twice in a step" in model.training_report()


def test_a_step_is_repeated_from_its_state() -> None:
    model = model_with_dropout(r_drop=2.0)
    model.train_on_batch(INPUTS, LABELS)  # the first step makes metrics
    state = captured_state(model)
    losses = []
    for _ in range(2):
        restore_state(model, state)
        restore_random_state(state)
        model.reset_metrics()
        losses.append(model.train_on_batch(INPUTS, LABELS, return_dict=True)["loss"])
    assert losses[0] == losses[1]


def test_it_is_saved_with_the_model(tmp_path: Path) -> None:
    model = model_with_dropout(r_drop=2.0)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert again._r_drop == 2.0 and again._fused_step is None


def test_what_it_cannot_be() -> None:
    model = model_with_dropout()
    for wrong in (-1, float("inf"), float("nan"), "5", True):
        with pytest.raises(ValueError, match=r"r_drop=.*expected a number of at least 0"):
            model.compile("sgd", r_drop=wrong)
    with pytest.raises(ValueError, match="fused_loss=True: r_drop needs all logits"):
        model.compile("sgd", r_drop=1.0, fused_loss=True)
    with pytest.raises(ValueError, match="all its dropout rates are 0"):
        make_model(without_dropout(shrunken_preset("transformer_tiny"))).compile("sgd", r_drop=1)
    training = TrainingConfig(epochs=1, r_drop=1.0)
    with pytest.raises(ConfigError, match=r"training\.r_drop: .* dropout rates are 0"):
        compile_by(training, make_model(without_dropout(shrunken_preset("transformer_tiny"))), 10)
