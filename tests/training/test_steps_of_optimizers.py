"""A step of an optimiser against its formula: gradients are those of whole batches."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from small_models import make_model, to_numpy
from training.option_run import of_transformer
from training.small_training import small_batches

RATE, BETA, EPSILON = 0.1, 0.99, 1e-3


def steps(optimizer: Any, fused: bool) -> dict[str, np.ndarray]:
    """What the first step adds to each weight; source and target have a token table each."""
    model = make_model(of_transformer(), seed=2)
    before = [to_numpy(weight).copy() for weight in model.weights]
    model.compile(optimizer, fused_loss=fused)
    model.train_on_batch(*small_batches(model, 4, 1)[0])
    found = {w.path: to_numpy(w) - value for w, value in zip(model.weights, before, strict=True)}
    assert sum(path.endswith("embeddings") for path in found) == 2
    return found


@pytest.fixture(scope="module")
def gradients() -> dict[str, np.ndarray]:
    return {path: -step for path, step in steps(keras.optimizers.SGD(1.0), True).items()}


@pytest.mark.parametrize("fused", [True, False])
def test_adam(fused: bool, gradients: dict[str, np.ndarray]) -> None:
    """Bias correction makes the first step `-rate g / (|g| + epsilon')` [Kingma 2015]."""
    found = steps(keras.optimizers.Adam(RATE, beta_2=BETA, epsilon=EPSILON), fused)
    for path, gradient in gradients.items():
        scale = (1 - BETA) ** 0.5
        expected = -RATE * scale * gradient / (scale * np.abs(gradient) + EPSILON)
        np.testing.assert_allclose(found[path], expected, atol=2e-4, err_msg=path)


def test_the_norm_that_is_clipped(gradients: dict[str, np.ndarray]) -> None:
    norm = sum((gradient**2).sum() for gradient in gradients.values()) ** 0.5
    found = steps(keras.optimizers.SGD(1.0, global_clipnorm=norm / 3), True)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(found[path], -gradient / 3, rtol=1e-3, atol=1e-5, err_msg=path)
