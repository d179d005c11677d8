"""Prepared weights change speed, not results; and they follow every change of the weights."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from types import SimpleNamespace
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
from contracts.checks import copy_batches
from keras import layers, ops
from small_models import (
    COMPILES,
    VARIANTS,
    make_model,
    randomise_layer,
    shrunken_preset,
    source_mapping,
)

from keras_s2s.decoding.drivers.driver_choice import CACHED_BYTES, make_kernels
from keras_s2s.layers import RelativePositions
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.kernels.prepared_weights import PreparedWeights
from keras_s2s.layers.transformer import relative_positions

pytestmark = pytest.mark.skipif(COMPILES, reason="only PyTorch runs a step op by op")

RNG = np.random.default_rng(0)


def tensor(*shape: int, dtype: str = "float32") -> Any:
    return ops.convert_to_tensor(RNG.normal(size=shape), dtype=dtype)


def prepared(function: Callable[[], Any], weights: PreparedWeights | None = None) -> np.ndarray:
    import torch

    with kernels.use(weights or PreparedWeights()), torch.inference_mode():
        return ops.convert_to_numpy(ops.cast(function(), "float32"))


def assert_same(
    function: Callable[[], Any], rtol: float = 1e-5, weights: PreparedWeights | None = None
) -> None:
    """As with Keras' layers, relative to the largest value."""
    plain = ops.convert_to_numpy(ops.cast(function(), "float32"))
    found = prepared(function, weights)
    assert np.isfinite(plain).all() and plain.std() > 0.01
    np.testing.assert_allclose(found, plain, atol=rtol * np.abs(plain).max(), rtol=0)


def built(layer: keras.Layer, width: int, seed: int = 0) -> Any:
    layer.build((None, width))
    randomise_layer(layer, seed)
    return layer


# ------------------------------------------------------------------ operations

SHAPES = [(1, 24), (2, 1, 24), (3, 1, 24), (4, 24), (5, 24), (2, 7, 24)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("from_memory", [False, True])
def test_linear(shape, bias, from_memory, monkeypatch):
    """Whatever number of rows the products are made of."""
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX512")
    weights = PreparedWeights(from_memory=from_memory)
    dense, x = built(layers.Dense(40, use_bias=bias), 24), tensor(*shape)
    assert_same(lambda: kernels.linear(dense, x), weights=weights)
    turned = ops.swapaxes(tensor(*shape[:-2], 24, shape[-2]), -1, -2)
    assert_same(lambda: kernels.linear(dense, turned), weights=weights)


@pytest.mark.parametrize(
    ("elements", "capability", "multiplied"),
    [
        (CACHED_BYTES // 4, "AVX512", [1, 2, 3, 4]),
        (CACHED_BYTES // 4 + 1, "AVX512", [4, 4, 3, 4]),
        (CACHED_BYTES // 4 + 1, "AVX2", [1, 2, 3, 4]),
    ],
)
def test_few_rows_are_copied_where_weights_are_read_from_memory(
    elements, capability, multiplied, monkeypatch
):
    """The rows of the products that one to four rows become."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Products(TorchDispatchMode):
        rows: ClassVar[list[int]] = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if "_linear_pointwise" in str(func):
                self.rows.append(args[0].numel() // args[0].shape[-1])
            return func(*args, **(kwargs or {}))

    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
    weights: Any = make_kernels(None, None, [SimpleNamespace(shape=(elements,))])
    packed = weights.pack(tensor(40, 24))
    Products.rows.clear()
    with torch.inference_mode(), Products():
        for rows in (1, 2, 3, 4):
            assert weights.product(tensor(rows, 1, 24), packed, None, None).shape == (rows, 1, 40)
    assert Products.rows == multiplied


@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("units", [(8,) * 3, (8,), (8, 40, 12)], ids=str)
@pytest.mark.parametrize("bias", [(True,) * 3, (False,) * 3, (True, False, True)], ids=str)
def test_heads(bias, units, scale):
    """Of unequal widths, too; each is what it is alone, and a changed one is noticed."""
    denses = [
        built(layers.Dense(width, use_bias=b), 24, seed)
        for seed, (width, b) in enumerate(zip(units, bias, strict=False))
    ]
    x, weights, last = tensor(3, 2, 24), PreparedWeights(), len(denses) - 1

    def heads(i):
        return lambda: kernels.heads(denses, x, 4, scale)[i]

    for i in range(len(denses)):
        assert_same(heads(i))
    plain = ops.convert_to_numpy(denses[0](x)) * (scale or 1)
    split = plain.reshape(3, 2, 4, -1).transpose(0, 2, 1, 3)
    np.testing.assert_allclose(prepared(heads(0), weights), split, rtol=1e-4, atol=1e-5)
    before = prepared(heads(last), weights)
    randomise_layer(denses[last], seed=9)
    weights.refresh()
    after = prepared(heads(last), weights)
    assert np.abs(after - before).max() > 0.01
    denses[last].enable_lora(2)
    randomise_layer(denses[last], seed=3)
    assert_same(heads(last))


def test_masks_as_biases():
    """A mask that hides nothing is none; another hides what it hides."""
    query, key, value = tensor(2, 4, 3, 5), tensor(2, 4, 7, 5), tensor(2, 4, 7, 5)
    some = ops.arange(7)[None, None, None] < ops.convert_to_tensor([7, 4])[:, None, None, None]
    for mask in (some, ops.ones_like(some)):
        assert_same(
            lambda mask=mask: (lambda seen: kernels.context(query, key, value, seen[0], seen[1]))(
                kernels.as_bias(mask)
            )
        )
    with kernels.use(PreparedWeights()):
        assert kernels.as_bias(ops.ones_like(some)) == (None, None)


@pytest.mark.parametrize("activation", list(kernels.ACTIVATIONS))
def test_activated(activation):
    dense, x = built(layers.Dense(40), 24), tensor(3, 2, 24)
    assert_same(lambda: kernels.activated(activation, dense, x))


@pytest.mark.parametrize("bias", [True, False])
def test_logits(bias):
    table = layers.ReversibleEmbedding(50, 24)
    table.build((None, 3))
    randomise_layer(table)
    offset = keras.Variable(tensor(50)) if bias else None
    for shape in SHAPES:
        x = tensor(*shape)
        assert_same(lambda x=x: kernels.logits(table, x, offset))


def test_layer_norm():
    norm, x = built(layers.LayerNormalization(epsilon=1e-5), 24), tensor(3, 2, 24)
    assert_same(lambda: kernels.layer_norm(norm, x))
    plain = built(layers.LayerNormalization(center=False, scale=False), 24)
    assert_same(lambda: kernels.layer_norm(plain, x))


@pytest.mark.parametrize("epsilon", [1e-6, 0.5])
def test_rms_norm(epsilon):
    norm, x = built(layers.RMSNormalization(epsilon=epsilon), 24), tensor(3, 2, 24)
    assert_same(lambda: kernels.layer_norm(norm, x))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_context(dtype):
    query, key = tensor(2, 3, 4, 8, dtype=dtype), tensor(2, 3, 6, 8, dtype=dtype)
    value = tensor(2, 3, 6, 8, dtype=dtype)
    mask = RNG.random((2, 1, 4, 6)) < 0.6
    mask[0, 0, 0] = False  # nothing to attend to: all alike, as in `masked_softmax`
    rtol = {"float32": 1e-5, "bfloat16": 2e-2, "float16": 3e-3}[dtype]
    for m in (None, ops.convert_to_tensor(mask)):
        assert_same(lambda m=m: kernels.context(query, key, value, m), rtol)
        for bias in (tensor(1, 3, 1, 6), tensor(2, 3, 4, 6)):
            assert_same(lambda m=m, b=bias: kernels.context(query, key, value, m, b), rtol)


def test_sinusoids():
    weights = PreparedWeights()
    for layout in ("interleaved", "halves", "tensor2tensor"):
        for start, length in ((0, 1), (7, 1), (0, 12), (40, 3), (3, 2)):
            expected = kernels.sinusoids(start, length, 10, layout)
            found = prepared(
                lambda s=start, n=length, o=layout: kernels.sinusoids(s, n, 10, o), weights
            )
            np.testing.assert_allclose(found, ops.convert_to_numpy(expected), atol=1e-6)
    found = prepared(lambda: kernels.sinusoids(5, 3, 10))
    assert found.shape == (3, 10)


@pytest.mark.parametrize("beams", [1, 3])
def test_relative_biases(beams):
    """Those of the filled places, from one table however the generation goes on."""
    tables = [RelativePositions({"num_buckets": 8, "max_distance": 20}, num_heads=2) for _ in "ab"]
    for seed, table in enumerate(tables):
        table.build()
        randomise_layer(table, seed)
    weights = PreparedWeights()
    for index in (0, 1, 5, 4, 16, 31, 32):
        every = relative_positions.step_biases(tables, index, 40, beams)
        for which, expected in enumerate(every):
            found = prepared(
                lambda n=which, i=index: kernels.relative_biases(tables, i, 40, beams)[n], weights
            )
            assert found.shape == (1, 2, 1, (index + 1) * beams)
            expected = ops.convert_to_numpy(expected)[..., : (index + 1) * beams]
            np.testing.assert_array_equal(found, expected)
    before = prepared(lambda: kernels.relative_biases(tables, 3, 40, beams)[0], weights)
    tables[0].table.assign(tables[0].table.value + 1)
    weights.refresh()
    after = prepared(lambda: kernels.relative_biases(tables, 3, 40, beams)[0], weights)
    np.testing.assert_allclose(after, before + 1, atol=1e-6)


def test_split_and_merged_heads():
    x = tensor(2, 5, 24)
    assert_same(lambda: kernels.split_heads(x, 4))
    assert_same(lambda: kernels.merge_heads(kernels.split_heads(x, 4)))


# ------------------------------------------------------------------ layers that are not plain


def test_an_activation_is_not_left_out():
    dense, x = built(layers.Dense(40, activation="tanh"), 24), tensor(3, 24)
    assert_same(lambda: kernels.linear(dense, x))


def test_lora():
    dense, x = built(layers.Dense(40), 24), tensor(3, 24)
    table = built(layers.ReversibleEmbedding(50, 24), 3)
    weights = PreparedWeights()
    before = prepared(lambda: kernels.linear(dense, x), weights)
    for layer in (dense, table):
        layer.enable_lora(2)
        randomise_layer(layer, seed=1)
    assert_same(lambda: kernels.linear(dense, x))
    assert_same(lambda: kernels.logits(table, x, None))
    weights.refresh()
    after = prepared(lambda: kernels.linear(dense, x), weights)
    np.testing.assert_allclose(after, ops.convert_to_numpy(dense(x)), rtol=1e-4, atol=1e-5)
    assert np.abs(after - before).max() > 0.01


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float16"])
def test_half_precision(dtype):
    dense = built(layers.Dense(40, dtype=dtype), 24)
    norm = built(layers.LayerNormalization(dtype=dtype), 24)
    rms_norm = built(layers.RMSNormalization(dtype=dtype), 24)
    table = built(layers.ReversibleEmbedding(50, 24, dtype=dtype), 3)
    x = tensor(3, 24, dtype=dtype.removeprefix("mixed_"))
    rtol = 2e-2 if "bfloat16" in dtype else 3e-3
    assert_same(lambda: kernels.linear(dense, x), rtol)
    assert_same(lambda: kernels.layer_norm(norm, x), rtol)
    assert_same(lambda: kernels.layer_norm(rms_norm, x), rtol)
    assert_same(lambda: kernels.logits(table, x, None), rtol)


def test_quantised():
    dense, x = built(layers.Dense(40), 24), tensor(3, 24)
    table = built(layers.ReversibleEmbedding(50, 24), 3)
    dense.quantize("int8")
    table.quantize("int8")
    assert_same(lambda: kernels.linear(dense, x))
    assert_same(lambda: kernels.logits(table, x, None))


# ------------------------------------------------------------------ weights that change


def negate(variable: Any) -> None:
    variable.assign(-variable.value)


def reverse(variable: Any) -> None:
    variable.assign(ops.flip(variable.value, axis=0))


def swap(variable: Any) -> None:
    values = ops.convert_to_numpy(variable.value).copy()
    values[[0, 1]] = values[[1, 0]]
    variable.assign(values)


def nudge_one(variable: Any) -> None:
    variable.value.data[1, 2] += 1e-3


def change_in_place(variable: Any) -> None:
    variable.value.data.mul_(1.5)


def replace_data(variable: Any) -> None:
    variable.value.data = variable.value.data.flip(1) * 2


CHANGES = [negate, reverse, swap, nudge_one, change_in_place, replace_data]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_weights_are_noticed(change):
    dense = built(layers.Dense(40), 24)
    table = built(layers.ReversibleEmbedding(50, 24), 3)
    x, weights = tensor(3, 24), PreparedWeights()

    def both() -> np.ndarray:
        weights.refresh()
        parts = [lambda: kernels.linear(dense, x), lambda: kernels.logits(table, x, None)]
        return np.concatenate([prepared(part, weights) for part in parts], axis=1)

    before = both()
    np.testing.assert_array_equal(both(), before)
    change(dense.kernel)
    change(table.embeddings)
    expected = np.concatenate([dense(x).detach(), table(x, reverse=True).detach()], axis=1)
    np.testing.assert_allclose(both(), expected, atol=1e-4)
    assert np.abs(expected[:, :40] - before[:, :40]).max() > 1e-4
    assert np.abs(expected[:, 40:] - before[:, 40:]).max() > 1e-4


def test_training_is_noticed():
    model = make_model(shrunken_preset("transformer_tiny"), seed=1)
    rows, ids = [[5, 6, 7, 3], [4, 3]], [[5, 6, 7], [8, 9, 3]]

    def generated() -> np.ndarray:
        output = model.generate(
            source_mapping(rows), decoder_prefix=ids, max_length=6, return_output=True
        )
        return output.token_log_probs[:, :3]

    before = generated()
    model.compile(optimizer=keras.optimizers.SGD(0.3))
    model.fit(copy_batches(model), epochs=1, verbose=0)
    _, expected = model.score(rows, ids, return_token_log_probs=True)
    np.testing.assert_allclose(generated(), np.stack(expected), rtol=1e-5, atol=1e-5)
    assert np.abs(before - generated()).max() > 1e-3


# ------------------------------------------------------------------ a whole network

NETWORKS = {
    "tied_post_norm": shrunken_preset("transformer_tiny"),
    "gated_pre_norm_learned": VARIANTS["transformer_pre_norm_gated_learned"],
    "recurrent": shrunken_preset("gru_bahdanau"),
    **{
        name: VARIANTS[name]
        for name in ("t5_like", "t5_like_per_layer_gated", "m2m_like", "marian_like")
    },
}


#: PyTorch initialises no recurrent kernel in half precision.
CASES = [
    *product(NETWORKS, ["float32", "mixed_bfloat16"]),
    *product([name for name in NETWORKS if name != "recurrent"], ["bfloat16", "float16"]),
]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_a_networks_steps(name, dtype):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        model = make_model(NETWORKS[name], seed=3)
    finally:
        keras.config.set_dtype_policy(before)
    network = model.network
    inputs = {k: ops.convert_to_tensor(v) for k, v in source_mapping([[5, 6, 3], [4, 3]]).items()}
    tokens = ops.convert_to_tensor(RNG.integers(4, 16, (5, 6)), "int32")

    def steps() -> Any:
        state = network.init_state(network.encode(inputs), 5)
        state = network.spread(state, 3)
        found = []
        for index in range(5):
            out = network.step(tokens[index], state, index)
            state = network.reorder(out.state, ops.convert_to_tensor([1, 0, 0, 5, 5, 3]))
            found.append(out.logits)
        return ops.stack(found)

    import torch

    with torch.inference_mode():
        assert_same(steps, {"float32": 1e-5, "float16": 2e-2}.get(dtype, 1e-1))
