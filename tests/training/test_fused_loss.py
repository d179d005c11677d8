"""Fused steps: output projection, loss and metrics in one, against the parts one by one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from small_batch import INPUTS, LABELS
from small_models import make_model, shrunken_preset, to_numpy, without_dropout

from keras_s2s import Seq2SeqLM
from keras_s2s.training.losses import fused_cross_entropy as module
from keras_s2s.training.losses.fused_cross_entropy import fused_cross_entropy
from keras_s2s.training.losses.loss import TokenCrossEntropy

N, D, V = 11, 5, 7
RNG = np.random.default_rng(3)
HIDDEN = RNG.normal(size=(N, D)).astype("float32") * 2
TABLE = RNG.normal(size=(V, D)).astype("float32")
BIAS = RNG.normal(size=V).astype("float32")
IDS = RNG.integers(0, V, N).astype("int32")
WEIGHTS = RNG.choice([0.0, 0.5, 1.0, 2.0], N).astype("float32")


def by_hand(bias: np.ndarray | None, smoothing: float) -> dict[str, np.ndarray]:
    """Sums and gradients in float64 by NumPy."""
    logits = HIDDEN.astype("float64") @ TABLE.T + (0 if bias is None else bias)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    wanted = np.eye(V)[IDS] * (1 - smoothing) + smoothing / V
    slope = (np.exp(log_probs) - wanted) * WEIGHTS[:, None]
    return {
        "loss": -(WEIGHTS[:, None] * wanted * log_probs).sum(),
        "nll": -(WEIGHTS * log_probs[np.arange(N), IDS]).sum(),
        "correct": (WEIGHTS * (logits.argmax(-1) == IDS)).sum(),
        "hidden": slope @ TABLE,
        "table": slope.T @ HIDDEN,
        "bias": slope.sum(0),
    }


def gradients(function: Any, values: list[np.ndarray]) -> list[np.ndarray]:
    """Gradients of a scalar function by each of its arguments, by the running backend."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return [
            np.asarray(g) for g in jax.jit(jax.grad(function, tuple(range(len(values)))))(*values)
        ]
    if backend == "tensorflow":
        import tensorflow as tf

        tensors = [tf.constant(value) for value in values]

        @tf.function
        def run(*given: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(given)
                total = function(*given)
            return tape.gradient(total, given)

        return [g.numpy() for g in run(*tensors)]
    import torch

    tensors = [torch.tensor(value, requires_grad=True) for value in values]
    function(*tensors).backward()
    return [tensor.grad.numpy() for tensor in tensors]


@pytest.mark.parametrize("chunk", [1, 4, 11, 64])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("with_bias", [True, False])
def test_sums_and_gradients(chunk: int, smoothing: float, with_bias: bool) -> None:
    bias = BIAS if with_bias else None
    expected = by_hand(bias, smoothing)
    rest = (ops.convert_to_tensor(IDS), ops.convert_to_tensor(WEIGHTS), smoothing, chunk)
    found = fused_cross_entropy(
        ops.convert_to_tensor(HIDDEN),
        ops.convert_to_tensor(TABLE),
        None if bias is None else ops.convert_to_tensor(bias),
        *rest,
    )
    for name, value in found._asdict().items():
        np.testing.assert_allclose(to_numpy(value), expected[name], rtol=1e-5, err_msg=name)

    def half_of_the_loss(*given: Any) -> Any:
        hidden, table, *biases = given
        return 0.5 * fused_cross_entropy(hidden, table, biases[0] if biases else None, *rest).loss

    given = [HIDDEN, TABLE, *([BIAS] if with_bias else [])]
    found_gradients = gradients(half_of_the_loss, given)
    for name, value in zip(("hidden", "table", "bias"), found_gradients, strict=False):
        np.testing.assert_allclose(value, 0.5 * expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


def small(name: str, **architecture: Any) -> Seq2SeqLM:
    return make_model(without_dropout(shrunken_preset(name)), **architecture)


def trained(model: Seq2SeqLM, fused: bool, steps: int = 3, **compiled: Any) -> Any:
    keras.utils.set_random_seed(1)
    model.compile(keras.optimizers.SGD(0.5), label_smoothing=0.1, fused_loss=fused, **compiled)
    assert (model._fused_step is not None) == fused
    history = model.fit(INPUTS, LABELS, epochs=steps, batch_size=1, shuffle=False, verbose=0)
    return history.history, [to_numpy(weight) for weight in model.weights]


@pytest.mark.parametrize("name", ["transformer_tiny", "gru_bahdanau", "t5_small"])
def test_training_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)  # several of them, one of which is not full
    model = small(name)
    before = [to_numpy(weight).copy() for weight in model.weights]
    results = []
    for fused in (False, True):
        for weight, value in zip(model.weights, before, strict=True):
            weight.assign(value)
        results.append(trained(model, fused))
    (plain, plain_weights), (history, weights) = results
    assert history.keys() == plain.keys() >= {"loss", "token_accuracy", "perplexity"}
    for key, values in plain.items():
        np.testing.assert_allclose(history[key], values, rtol=1e-5, err_msg=key)
    assert not np.allclose(plain_weights[0], before[0])
    for weight, value in zip(plain_weights, weights, strict=True):
        np.testing.assert_allclose(value, weight, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["transformer_tiny", "gru_bahdanau"])  # tied; a bias
def test_eager_steps_are_the_same(name: str) -> None:
    model = small(name)
    before = [to_numpy(weight).copy() for weight in model.weights]
    expected, _ = trained(model, True, steps=1)
    for weight, value in zip(model.weights, before, strict=True):
        weight.assign(value)
    found, _ = trained(model, True, steps=1, run_eagerly=True)
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-5)


def test_logits_outside_a_training_step_stay_logits() -> None:
    model = small("transformer_tiny")
    trained(model, True, steps=1)
    shape = (2, 3, model.preset.architecture.target_vocab_size)
    assert tuple(model(INPUTS, training=True).shape) == shape
    assert model.predict(INPUTS, verbose=0).shape == shape
    assert model.evaluate(INPUTS, LABELS, verbose=0, return_dict=True)["perplexity"] > 1


def test_what_cannot_be_fused_is_said() -> None:
    model = small("transformer_tiny")
    model.compile("sgd")
    assert model._fused_step is not None, "auto does so where it can"
    model.compile("sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert model._fused_step is None
    with pytest.raises(ValueError, match="fused_loss=True: there are other metrics"):
        model.compile("sgd", metrics=["sparse_top_k_categorical_accuracy"], fused_loss=True)

    class Other(TokenCrossEntropy):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return 2 * super().call(y_true, y_pred)

    with pytest.raises(ValueError, match="not the default one"):
        model.compile("sgd", loss=Other(), fused_loss=True)
    with pytest.raises(ValueError, match="fused_loss='no'"):
        model.compile("sgd", fused_loss="no")


def test_adapters_of_the_output_are_not_fused() -> None:
    model = small("t5_small")
    model.enable_lora(2)
    model.compile("sgd")
    assert model._fused_step is not None, "the adapters are elsewhere"
