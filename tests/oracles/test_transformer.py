"""Positions, multi-head attention and whole blocks against PyTorch and against formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from keras import ops
from small_models import randomise_layer, to_numpy, transformer

from keras_s2s.layers import (
    FeedForward,
    InputEmbedding,
    MultiHeadAttention,
    TransformerDecoderBlock,
    TransformerEncoderBlock,
)
from keras_s2s.layers.masks import causal_mask, masked_softmax
from keras_s2s.layers.positions import sinusoidal_table

torch = pytest.importorskip("torch")

B, T, S, D, H, F = 2, 5, 4, 8, 2, 12
RNG = np.random.default_rng(1)
X = RNG.normal(size=(B, T, D)).astype("float32")
MEMORY = RNG.normal(size=(B, S, D)).astype("float32")
SOURCE_MASK = np.asarray([[1, 1, 1, 1], [1, 1, 0, 0]], bool)
TARGET_MASK = np.asarray([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)


def tensor(array):
    return ops.convert_to_tensor(array)


@pytest.mark.parametrize("dim", [6, 7, 16])
def test_sinusoidal_positions(dim):
    positions = [0, 1, 5, 77, 511]
    found = to_numpy(sinusoidal_table(tensor(np.asarray(positions, "int32")), dim))
    for row, p in zip(found, positions, strict=True):
        for i, value in enumerate(row):
            angle = p / 10000 ** (2 * (i // 2) / dim)
            expected = math.cos(angle) if i % 2 else math.sin(angle)
            assert value == pytest.approx(expected, abs=1e-4 if p > 100 else 1e-6)


def test_embedding_scale_positions_and_start():
    layer = InputEmbedding({"scale": True, "positions": "sinusoidal"})
    table = to_numpy(sinusoidal_table(tensor(np.arange(9, dtype="int32")), D))
    found = to_numpy(layer(tensor(X), start=3, training=False))
    np.testing.assert_allclose(found, X * math.sqrt(D) + table[3:8], rtol=1e-5, atol=1e-5)


def test_masked_softmax_of_nothing_is_finite():
    scores = tensor(X)
    mask = np.zeros(X.shape, bool)
    mask[0] = True
    found = to_numpy(masked_softmax(scores, tensor(mask)))
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)
    expected = np.exp(X[0]) / np.exp(X[0]).sum(-1, keepdims=True)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


def test_causal_mask():
    expected = np.tril(np.ones((T, T), bool))[None, None]
    np.testing.assert_array_equal(to_numpy(causal_mask(T)), expected)


def copy_attention(module, w, prefix=""):
    """Fill a torch.nn.MultiheadAttention from ours."""
    parts = ("query", "key", "value")
    weight = np.concatenate([w[f"{prefix}{p}/kernel"].T for p in parts])
    bias = np.concatenate([w[f"{prefix}{p}/bias"] for p in parts])
    with torch.no_grad():
        module.in_proj_weight.copy_(torch.from_numpy(weight))
        module.in_proj_bias.copy_(torch.from_numpy(bias))
        module.out_proj.weight.copy_(torch.from_numpy(w[f"{prefix}output/kernel"].T.copy()))
        module.out_proj.bias.copy_(torch.from_numpy(w[f"{prefix}output/bias"]))


def test_multi_head_attention():
    layer = MultiHeadAttention(hidden_dim=D, num_heads=H)
    layer.build(X.shape, MEMORY.shape)
    other = torch.nn.MultiheadAttention(D, H, batch_first=True).eval()
    copy_attention(other, randomise_layer(layer))
    with torch.no_grad():
        expected, weights = other(
            torch.from_numpy(X),
            torch.from_numpy(MEMORY),
            torch.from_numpy(MEMORY),
            key_padding_mask=torch.from_numpy(~SOURCE_MASK),
            average_attn_weights=False,
        )
    mask = tensor(SOURCE_MASK[:, None, None])
    np.testing.assert_allclose(
        to_numpy(layer(tensor(X), tensor(MEMORY), mask=mask)), expected.numpy(), atol=1e-5
    )
    key, value = layer.project_memory(tensor(MEMORY))
    _, found = layer.attend(layer.project_query(tensor(X)), key, value, mask)
    np.testing.assert_allclose(to_numpy(found), weights.numpy(), rtol=1e-5, atol=1e-5)


def copy_block(module, w, attentions, norms):
    with torch.no_grad():
        for theirs, ours in attentions.items():
            copy_attention(getattr(module, theirs), w, f"{ours}/")
        for theirs, ours in (("linear1", "inner"), ("linear2", "outer")):
            linear = getattr(module, theirs)
            linear.weight.copy_(torch.from_numpy(w[f"feed_forward/{ours}/kernel"].T.copy()))
            linear.bias.copy_(torch.from_numpy(w[f"feed_forward/{ours}/bias"]))
        for theirs, ours in norms.items():
            norm = getattr(module, theirs)
            norm.weight.copy_(torch.from_numpy(w[f"{ours}_norm/gamma"]))
            norm.bias.copy_(torch.from_numpy(w[f"{ours}_norm/beta"]))


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("order", ["pre", "post"])
def test_encoder_block(order, activation):
    config = transformer(norm_order=order, activation=activation, norm_epsilon=1e-5)
    layer = TransformerEncoderBlock(config)
    layer.build(MEMORY.shape)
    other = torch.nn.TransformerEncoderLayer(
        D, H, F, 0.0, activation, batch_first=True, norm_first=order == "pre"
    ).eval()
    copy_block(
        other,
        randomise_layer(layer),
        {"self_attn": "self_attention"},
        {"norm1": "self_attention", "norm2": "feed_forward"},
    )
    # With gradients on, PyTorch takes its plain path rather than a fused kernel.
    expected = other(torch.from_numpy(MEMORY), src_key_padding_mask=torch.from_numpy(~SOURCE_MASK))
    found = to_numpy(layer(tensor(MEMORY), mask=tensor(SOURCE_MASK[:, None, None])))
    np.testing.assert_allclose(
        found[SOURCE_MASK], expected.detach().numpy()[SOURCE_MASK], atol=2e-5
    )


@pytest.mark.parametrize("order", ["pre", "post"])
def test_decoder_block(order):
    layer = TransformerDecoderBlock(transformer(norm_order=order, norm_epsilon=1e-5))
    layer.build(X.shape, MEMORY.shape)
    other = torch.nn.TransformerDecoderLayer(
        D, H, F, 0.0, "relu", batch_first=True, norm_first=order == "pre"
    ).eval()
    copy_block(
        other,
        randomise_layer(layer),
        {"self_attn": "self_attention", "multihead_attn": "cross_attention"},
        {"norm1": "self_attention", "norm2": "cross_attention", "norm3": "feed_forward"},
    )
    expected = other(
        torch.from_numpy(X),
        torch.from_numpy(MEMORY),
        tgt_mask=torch.from_numpy(~np.tril(np.ones((T, T), bool))),
        tgt_key_padding_mask=torch.from_numpy(~TARGET_MASK),
        memory_key_padding_mask=torch.from_numpy(~SOURCE_MASK),
    )
    self_mask = np.tril(np.ones((T, T), bool))[None, None] & TARGET_MASK[:, None, None]
    found = layer(
        tensor(X), tensor(MEMORY), self_mask=tensor(self_mask), memory_mask=tensor(SOURCE_MASK)
    )
    np.testing.assert_allclose(
        to_numpy(found)[TARGET_MASK], expected.detach().numpy()[TARGET_MASK], atol=2e-5
    )


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x / (1 + np.exp(-x)),
}


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_feed_forward(activation, gated):
    layer = FeedForward(hidden_dim=D, intermediate_dim=F, activation=activation, gated=gated)
    layer.build(X.shape)
    w = randomise_layer(layer)
    act = ACTIVATIONS[activation]
    inner = X @ w["inner/kernel"] + w["inner/bias"]
    inner = act(X @ w["gate/kernel"] + w["gate/bias"]) * inner if gated else act(inner)
    expected = inner @ w["outer/kernel"] + w["outer/bias"]
    np.testing.assert_allclose(to_numpy(layer(tensor(X))), expected, atol=2e-5)
