"""The SSRU against its equations in plain loops, and its steps against all positions at once."""

import numpy as np
import pytest
from keras import ops
from small_models import to_numpy

from keras_s2s.layers import SSRU
from keras_s2s.layers.transformer.ssru import linear_recurrence

WIDTH = 4


def made(projection: bool) -> SSRU:
    layer = SSRU(hidden_dim=WIDTH, projection=projection)
    layer.build((None, None, WIDTH))
    draw = np.random.default_rng(0)
    layer.set_weights([draw.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def plain(layer: SSRU, x: np.ndarray) -> np.ndarray:
    """Kim et al. 2019, equations (3) to (5), one position after the other."""
    forget, bias = map(to_numpy, layer.forget_dense.weights)
    (candidate,) = map(to_numpy, layer.candidate_dense.weights)
    cell, outputs = np.zeros((len(x), WIDTH)), []
    for t in range(x.shape[1]):
        f = sigmoid(x[:, t] @ forget + bias)
        cell = f * cell + (1 - f) * (x[:, t] @ candidate)
        outputs.append(np.maximum(cell, 0))
    hidden = np.stack(outputs, axis=1)
    if layer.output_dense is None:
        return hidden
    kernel, offset = map(to_numpy, layer.output_dense.weights)
    return hidden @ kernel + offset


@pytest.mark.parametrize("projection", [False, True])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9])
def test_all_positions_at_once_are_those_of_the_equations(length, projection):
    layer = made(projection)
    x = np.random.default_rng(length).normal(size=(2, length, WIDTH)).astype("float32")
    np.testing.assert_allclose(to_numpy(layer(x)), plain(layer, x), atol=1e-5)


def test_steps_are_those_of_the_equations():
    layer = made(projection=True)
    x = np.random.default_rng(1).normal(size=(2, 5, WIDTH)).astype("float32")
    cell, outputs = ops.zeros((2, WIDTH)), []
    for t in range(5):
        output, cell = layer.step(ops.convert_to_tensor(x[:, t]), cell)
        outputs.append(to_numpy(output))
    np.testing.assert_allclose(np.stack(outputs, axis=1), plain(layer, x), atol=1e-5)


def test_a_long_recurrence_stays_exact():
    """The products of 400 gates vanish; the sums must not."""
    draw = np.random.default_rng(2)
    keep, add = draw.uniform(0.1, 1, (1, 400, 3)), draw.normal(size=(1, 400, 3))
    expected, cell = [], np.zeros((1, 3))
    for t in range(400):
        cell = keep[:, t] * cell + add[:, t]
        expected.append(cell)
    found = linear_recurrence(
        ops.convert_to_tensor(keep, "float32"), ops.convert_to_tensor(add, "float32")
    )
    np.testing.assert_allclose(to_numpy(found), np.stack(expected, 1), atol=1e-5)
