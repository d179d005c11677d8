"""Products in int8 and bfloat16: what integer and float64 arithmetic give, and row by row alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from rounded_types import EVERY_TYPE
from small_models import randomise_layer

from keras_s2s.decoding.drivers.driver_choice import PREPARED
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.kernels.prepared_weights import PreparedWeights

RNG = np.random.default_rng(0)
#: Widths of inputs and outputs; of some, vectors of the processor are not full.
SIZES = [(24, 40), (7, 3), (13, 63), (512, 512), (2048, 257)]

each_type = pytest.mark.parametrize("compute_type", EVERY_TYPE)


def make(compute_type: str) -> PreparedWeights:
    return PREPARED[compute_type]()


def tensor(*shape: int) -> Any:
    return ops.convert_to_tensor(RNG.normal(size=shape), dtype="float32")


def rows_of_all_sizes(count: int, width: int) -> Any:
    """Rows whose magnitudes lie far apart: one scale for all of them would lose the small ones."""
    rows = RNG.normal(size=(count, width)) * 10.0 ** np.linspace(-6, 3, count)[:, None]
    return ops.convert_to_tensor(rows, dtype="float32")


def computed(weights: PreparedWeights, function: Callable[[], Any]) -> np.ndarray:
    import torch

    with kernels.use(weights), torch.inference_mode():
        return ops.convert_to_numpy(function())


def built(layer: keras.Layer, width: int, seed: int = 0) -> Any:
    layer.build((None, width))
    randomise_layer(layer, seed)
    return layer


def rounded_to_levels(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row as integers of at most 127, and their scale."""
    rows = rows.astype("float64")
    scales = np.abs(rows).max(axis=1, keepdims=True) / 127
    return np.rint(rows / scales), scales


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("compute_type", EVERY_TYPE[:1])
def test_int8_is_integer_arithmetic(compute_type, size):
    """Up to an input that lies between two integers, where float32 may round the other way."""
    dense, x = built(layers.Dense(size[1]), size[0]), rows_of_all_sizes(9, size[0])
    kernel, bias = map(ops.convert_to_numpy, (dense.kernel, dense.bias))
    q, scale = rounded_to_levels(ops.convert_to_numpy(x))
    w, channel = rounded_to_levels(kernel.T)
    exact = (q @ w.T) * scale * channel.T
    found = computed(make(compute_type), lambda: kernels.linear(dense, x)) - bias.astype("float64")
    level = 2 * np.abs(kernel).max() * scale  # one input, one integer off
    noise = 1e-6 * np.abs(bias).max()
    assert (np.abs(found - exact) <= level + noise).all()
    close = 1e-5 * np.abs(exact).max(axis=1, keepdims=True) + noise
    assert (np.abs(found - exact) <= close).mean() > 0.9


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("compute_type", EVERY_TYPE[1:])
def test_bfloat16_adds_up_in_float32(compute_type, size):
    """The product of rounded numbers, rounded once."""
    import torch

    dense, x = built(layers.Dense(size[1], use_bias=False), size[0]), rows_of_all_sizes(9, size[0])
    both = x.bfloat16().double(), dense.kernel.value.detach().bfloat16().double()
    exact = (both[0] @ both[1]).numpy()
    found = computed(make(compute_type), lambda: kernels.linear(dense, x))
    sums = (both[0].abs() @ both[1].abs()).numpy()
    assert (np.abs(found - exact) <= 2.0**-8 * np.abs(exact) + 1e-5 * sums).all()
    assert found.dtype == np.float32
    assert torch.equal(torch.from_numpy(found).bfloat16().float(), torch.from_numpy(found))


@each_type
@pytest.mark.parametrize("size", [size for size in SIZES if size[0] >= 24], ids=str)
def test_every_row_is_close_to_float32(compute_type, size):
    """The smallest row as the largest."""
    dense = built(layers.Dense(size[1], use_bias=False), size[0])
    x = rows_of_all_sizes(40, size[0])
    plain = ops.convert_to_numpy(ops.stop_gradient(dense(x)))
    found = computed(make(compute_type), lambda: kernels.linear(dense, x))
    error = np.linalg.norm(found - plain, axis=1) / np.linalg.norm(plain, axis=1)
    assert error.max() < 0.03
    assert np.median(error) < 0.015
    assert error.min() > 1e-4, "nothing is rounded"


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("compute_type", EVERY_TYPE[:1])
def test_an_int8_row_never_depends_on_its_batch(compute_type, size, bias):
    """Bit for bit."""
    dense, x = built(layers.Dense(size[1], use_bias=bias), size[0]), rows_of_all_sizes(33, size[0])
    weights = make(compute_type)
    together = computed(weights, lambda: kernels.linear(dense, x))
    for count in (1, 2, 7):
        parts = [
            computed(weights, lambda i=i, n=count: kernels.linear(dense, x[i : i + n]))
            for i in range(0, 33, count)
        ]
        np.testing.assert_array_equal(np.concatenate(parts), together)
    folded = computed(weights, lambda: kernels.linear(dense, x[:, None]))
    np.testing.assert_array_equal(folded[:, 0], together)


@each_type
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_seen_and_leaves_the_others_alone(compute_type, wrong):
    dense, x = built(layers.Dense(40), 24), tensor(5, 24)
    weights = make(compute_type)
    before = computed(weights, lambda: kernels.activated("relu", dense, x))
    x[1, 3] = wrong
    after = computed(weights, lambda: kernels.activated("relu", dense, x))
    assert np.isfinite(before).all()
    assert not np.isfinite(after[1]).all()
    np.testing.assert_array_equal(np.delete(after, 1, 0), np.delete(before, 1, 0))


@each_type
def test_rows_and_weights_of_zeros(compute_type):
    dense, x = built(layers.Dense(40), 24), tensor(3, 24)
    bias = ops.convert_to_numpy(dense.bias)
    x[1] = 0
    found = computed(make(compute_type), lambda: kernels.linear(dense, x))
    np.testing.assert_array_equal(found[1], bias)
    dense.kernel.assign(dense.kernel * (np.arange(40) != 5))
    found = computed(make(compute_type), lambda: kernels.linear(dense, x))
    np.testing.assert_array_equal(found[:, 5], bias[5])


@each_type
@pytest.mark.parametrize("activation", list(kernels.ACTIVATIONS))
def test_activated(compute_type, activation):
    dense, x = built(layers.Dense(40), 24), tensor(3, 2, 24)
    weights = make(compute_type)
    linear = computed(weights, lambda: kernels.linear(dense, x))
    expected = ops.convert_to_numpy(kernels.ACTIVATIONS[activation](ops.convert_to_tensor(linear)))
    found = computed(weights, lambda: kernels.activated(activation, dense, x))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@each_type
@pytest.mark.parametrize("units", [(8,) * 3, (8,), (8, 40, 12)], ids=str)
def test_heads(compute_type, units):
    denses = [built(layers.Dense(width), 24, seed) for seed, width in enumerate(units)]
    x, weights = tensor(3, 2, 24), make(compute_type)
    for i, (dense, factor) in enumerate(zip(denses, (0.3, 1, 1), strict=False)):
        plain = ops.convert_to_numpy(ops.stop_gradient(kernels.split_heads(dense(x) * factor, 4)))
        found = computed(weights, lambda i=i: kernels.heads(denses, x, 4, 0.3)[i])
        assert found.shape == plain.shape
        np.testing.assert_allclose(found, plain, rtol=0, atol=0.03 * np.abs(plain).max())


@each_type
@pytest.mark.parametrize("bias", [True, False])
def test_logits(compute_type, bias):
    table = layers.ReversibleEmbedding(50, 24)
    table.build((None, 3))
    randomise_layer(table)
    offset = keras.Variable(tensor(50)) if bias else None
    for shape in ((1, 24), (5, 24), (2, 7, 24)):
        x = tensor(*shape)
        plain = ops.convert_to_numpy(ops.stop_gradient(kernels.logits(table, x, offset)))
        found = computed(make(compute_type), lambda x=x: kernels.logits(table, x, offset))
        np.testing.assert_allclose(found, plain, rtol=0, atol=0.03 * np.abs(plain).max())
        assert np.abs(found - plain).max() > 1e-5


@each_type
def test_layers_with_an_adapter_stay_in_float32(compute_type):
    dense, x, weights = built(layers.Dense(40), 24), tensor(3, 24), make(compute_type)
    dense.enable_lora(2)
    randomise_layer(dense, seed=1)
    plain = ops.convert_to_numpy(ops.stop_gradient(dense(x)))
    found = computed(weights, lambda: kernels.linear(dense, x))
    np.testing.assert_allclose(found, plain, rtol=1e-4, atol=1e-5)


@each_type
def test_weights_that_are_not_finite_stay_so(compute_type):
    dense, x, weights = built(layers.Dense(40), 24), tensor(3, 24), make(compute_type)
    dense.kernel.value.data[2, 3] = np.nan
    found = computed(weights, lambda: kernels.linear(dense, x))
    assert np.isnan(found[:, 3]).all()
    assert np.isfinite(np.delete(found, 3, 1)).all()


def change_in_place(variable: Any) -> None:
    variable.value.data.mul_(-1.5)


def nudge_one(variable: Any) -> None:
    variable.value.data[1, 2] += 0.1


def reverse(variable: Any) -> None:
    variable.assign(ops.flip(variable.value, axis=0))


@each_type
@pytest.mark.parametrize("change", [change_in_place, nudge_one, reverse])
def test_changed_weights_are_noticed(compute_type, change):
    """The result is then that of kernels that were made after the change."""
    dense, x, weights = built(layers.Dense(40), 24), tensor(3, 24), make(compute_type)

    def found(weights: PreparedWeights) -> np.ndarray:
        weights.refresh()
        return computed(weights, lambda: kernels.linear(dense, x))

    before = found(weights)
    np.testing.assert_array_equal(found(weights), before)
    change(dense.kernel)
    after = found(weights)
    np.testing.assert_array_equal(after, found(make(compute_type)))
    assert np.abs(after - before).max() > 1e-2
