"""Biases by distance against transformers' T5; the step's are the last row of the square."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops
from small_models import randomise_layer, slow_where_compiled, to_numpy

from keras_s2s.config import RelativePositionsConfig
from keras_s2s.layers import MultiHeadAttention, RelativePositions
from keras_s2s.layers.masks import LOWEST
from keras_s2s.layers.transformer.relative_positions import (
    buckets,
    buckets_by_distance,
    masked_bias,
    square_biases,
    step_biases,
)

H = 2
SIZES = [(32, 128), (8, 20), (4, 3), (6, 5), (16, 9), (64, 512), (128, 1000), (33, 77), (12, 1900)]


def layer_of(num_buckets: int, max_distance: int, bidirectional: bool) -> RelativePositions:
    layer = RelativePositions(
        {"num_buckets": num_buckets, "max_distance": max_distance},
        num_heads=H,
        bidirectional=bidirectional,
    )
    layer.build()
    randomise_layer(layer)
    return layer


def their_attention(layer: RelativePositions):
    torch = pytest.importorskip("torch")
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    config = t5.T5Config(
        d_model=8,
        num_heads=H,
        d_kv=4,
        relative_attention_num_buckets=layer.config.num_buckets,
        relative_attention_max_distance=layer.config.max_distance,
        is_decoder=not layer.bidirectional,
    )
    attention = t5.T5Attention(config, has_relative_attention_bias=True, layer_idx=0)
    with torch.no_grad():
        attention.relative_attention_bias.weight.copy_(torch.from_numpy(to_numpy(layer.table)))
    return attention


@pytest.mark.parametrize("bidirectional", [True, False])
def test_every_distance_has_the_bucket_that_t5_gives_it(bidirectional):
    torch = pytest.importorskip("torch")
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    distances = np.arange(-2000, 2001, dtype="int32")
    for num_buckets, max_distance in SIZES:
        config = RelativePositionsConfig(num_buckets=num_buckets, max_distance=max_distance)
        found = buckets(ops.convert_to_tensor(distances), config, bidirectional=bidirectional)
        expected = t5.T5Attention._relative_position_bucket(
            torch.from_numpy(distances).long(), bidirectional, num_buckets, max_distance
        )
        np.testing.assert_array_equal(
            to_numpy(found), expected.numpy(), err_msg=f"{num_buckets} {max_distance}"
        )


@slow_where_compiled
def test_buckets_grow_to_the_last_one():
    for num_buckets, max_distance in SIZES:
        found = buckets_by_distance(num_buckets, max_distance)
        assert found.shape == (max_distance + 1,) and found.dtype == np.int32
        assert (np.diff(found) >= 0).all() and found[-1] == num_buckets - 1
        np.testing.assert_array_equal(found[: num_buckets // 2], np.arange(num_buckets // 2))


@pytest.mark.parametrize("bidirectional", [True, False])
def test_square_of_biases(bidirectional):
    layer = layer_of(8, 12, bidirectional)
    (found,) = square_biases([layer], 30)
    expected = their_attention(layer).compute_bias(30, 30).detach().numpy()
    if not bidirectional:  # Later keys are masked out: what stands there has no meaning.
        found, expected = (np.tril(to_numpy(biases)) for biases in (found, expected))
    assert found.shape == (1, H, 30, 30)
    np.testing.assert_array_equal(to_numpy(found), expected)


@pytest.mark.parametrize("beams", [1, 3])
def test_step_biases_are_the_last_row(beams):
    layer, capacity = layer_of(8, 12, False), 20
    theirs = their_attention(layer)
    for index in (0, 1, 7, 19):
        (found,) = step_biases([layer], np.int32(index), capacity, beams)
        assert found.shape == (1, H, 1, capacity * beams)
        places = to_numpy(found).reshape(H, capacity, beams)[:, : index + 1]
        expected = theirs.compute_bias(1, index + 1, past_seen_tokens=index).detach().numpy()
        for beam in range(beams):
            np.testing.assert_array_equal(places[..., beam], expected[0, :, 0])


def test_each_table_has_its_own_biases():
    first, second = layer_of(8, 12, False), layer_of(8, 12, False)
    second.table.assign(-first.table.value)
    for pair in (square_biases([first, second], 5), step_biases([first, second], 3, 4, 2)):
        one, other = (to_numpy(biases) for biases in pair)
        np.testing.assert_array_equal(one, -other)
        assert one.any()


def test_masked_bias():
    bias = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(1, H, 1, 4)), "float32")
    assert masked_bias(bias, None) is bias
    mask = np.asarray([[1, 1, 0, 1], [1, 0, 0, 0]], bool)[:, None, None]
    found = to_numpy(masked_bias(bias, ops.convert_to_tensor(mask)))
    expected = np.where(mask, to_numpy(bias), np.float32(LOWEST))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16", "bfloat16"])
def test_biases_are_added_in_float32(dtype):
    """256 and 257 are one number in bfloat16; what is masked out is infinite in float16."""
    layer = RelativePositions({"num_buckets": 4, "max_distance": 6}, num_heads=1, dtype=dtype)
    layer.build()
    assert keras.backend.standardize_dtype(layer(layer.buckets_of([-1, 0])).dtype) == "float32"
    if dtype.startswith("mixed"):
        layer.table.assign([[256.0], [257.0], [0.0], [0.0]])
        np.testing.assert_array_equal(to_numpy(layer(layer.buckets_of([0, -1])))[0], [256, 257])

    attention = MultiHeadAttention(hidden_dim=2, num_heads=1, use_bias=False, dtype=dtype)
    attention.build((1, 2, 2), (1, 2, 2))
    for dense, kernel in (
        (attention.query_dense, np.zeros((2, 2))),
        (attention.key_dense, np.zeros((2, 2))),
        (attention.value_dense, np.eye(2)),
        (attention.output_dense, np.eye(2)),
    ):
        dense.kernel.assign(kernel)
    memory = ops.convert_to_tensor(np.eye(2)[None], attention.compute_dtype)
    bias = np.asarray([[256, 257], [LOWEST, LOWEST]], "float32")[None, None]
    # One whose weights nobody asks for, and one as in training.
    for training in (False, None):
        found = attention(memory, memory, training=training, bias=ops.convert_to_tensor(bias))
        found = to_numpy(ops.cast(found, "float32"))
        share = 1 / (1 + np.e)
        np.testing.assert_allclose(found[0], [[share, 1 - share], [0.5, 0.5]], atol=4e-3)
