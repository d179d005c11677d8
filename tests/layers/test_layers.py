"""Layers one by one: configuration round trips, dropout, the bridge's hand-over, caches."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops
from small_models import attention, randomise_layer, recurrent, to_numpy, transformer

from keras_s2s import layers
from keras_s2s.layers import Bridge, FeedForward, InputEmbedding, Memory, MultiHeadAttention, cache
from keras_s2s.layers.masks import padding_mask
from keras_s2s.layers.recurrent.bridge import context_vector, masked_mean

BUILT = {
    "AdditiveAttention": lambda: layers.AdditiveAttention(units=3, use_bias=False),
    "BilinearAttention": lambda: layers.BilinearAttention(),
    "Bridge": lambda: Bridge({"type": "dense", "activation": "relu"}, state_sizes=[[4, 4]]),
    "ConcatAttention": lambda: layers.ConcatAttention(units=3),
    "DotAttention": lambda: layers.DotAttention(),
    "FeedForward": lambda: FeedForward(
        hidden_dim=4, intermediate_dim=6, activation="silu", gated=True, dropout=0.2
    ),
    "InputEmbedding": lambda: InputEmbedding(
        {"positions": "learned", "max_positions": 5, "norm": True, "dropout": 0.1}
    ),
    "LearnedPositions": lambda: layers.LearnedPositions(max_positions=5, dim=4),
    "MultiHeadAttention": lambda: MultiHeadAttention(
        hidden_dim=4, num_heads=2, head_dim=3, scale=False, dropout=0.3
    ),
    "OutputProjection": lambda: layers.OutputProjection(vocab_size=9, use_bias=False, scale=True),
    "RecurrentDecoder": lambda: layers.RecurrentDecoder(
        recurrent("gru", **attention("concat", "current", units=3)), bridge={"type": "zero"}
    ),
    "RecurrentEncoder": lambda: layers.RecurrentEncoder(recurrent("lstm", bidirectional=True)),
    "RelativePositions": lambda: layers.RelativePositions(
        {"num_buckets": 8, "max_distance": 9, "per_layer": True}, num_heads=2, bidirectional=True
    ),
    "SSRU": lambda: layers.SSRU(hidden_dim=4, projection=True),
    "SSRUDecoder": lambda: layers.SSRUDecoder(transformer(type="ssru")),
    "SSRUDecoderBlock": lambda: layers.SSRUDecoderBlock(transformer(type="ssru")),
    "TransformerDecoder": lambda: layers.TransformerDecoder(transformer(norm_order="pre")),
    "TransformerDecoderBlock": lambda: layers.TransformerDecoderBlock(transformer(gated=True)),
    "TransformerEncoder": lambda: layers.TransformerEncoder(transformer(final_norm=True)),
    "TransformerEncoderBlock": lambda: layers.TransformerEncoderBlock(transformer()),
}


def test_every_layer_is_here():
    exported = {name for name in layers.__all__ if issubclass(getattr(layers, name), keras.Layer)}
    # The base classes of parts have nothing to build.
    assert exported == {*BUILT, "Encoder", "Decoder"}


@pytest.mark.parametrize("name", list(BUILT))
def test_configuration_round_trip(name):
    layer = BUILT[name]()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()


def test_dropout_works_in_training_only():
    x = ops.ones((4, 50, 8))
    embedding = InputEmbedding({"dropout": 0.5})
    feed_forward = FeedForward(hidden_dim=8, intermediate_dim=16, dropout=0.5)
    for layer in (embedding, feed_forward):
        quiet = [to_numpy(layer(x, training=False)) for _ in range(2)]
        np.testing.assert_array_equal(*quiet)
        assert (to_numpy(layer(x, training=True)) != quiet[0]).any()
    share = (to_numpy(embedding(x, training=True)) == 0).mean()
    assert 0.4 < share < 0.6

    heads = MultiHeadAttention(hidden_dim=8, num_heads=2, dropout=0.5)
    stack = layers.TransformerEncoder(transformer(output_dropout=0.5))
    everywhere = ops.ones((4, 50), "bool")
    quiet = to_numpy(stack(x, everywhere, training=False).values)
    assert (quiet != 0).all()
    share = (to_numpy(stack(x, everywhere, training=True).values) == 0).mean()
    assert 0.4 < share < 0.6, "the stack's output"

    memory = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(4, 9, 8)), "float32")
    quiet = [to_numpy(heads(x, memory, training=False)) for _ in range(2)]
    np.testing.assert_array_equal(*quiet)
    assert (np.abs(to_numpy(heads(x, memory, training=True)) - quiet[0]) > 1e-6).any()


def memory(states: list[list[int]], width: int = 6) -> Memory:
    rng = np.random.default_rng(0)

    def tensor(*shape):
        return ops.convert_to_tensor(rng.normal(size=shape).astype("float32"))

    mask = padding_mask([3, 1], 3)
    return Memory(tensor(2, 3, width), mask, [[tensor(2, n) for n in layer] for layer in states])


def built_bridge(config: dict, sizes: list[list[int]], source: Memory) -> Bridge:
    bridge = Bridge(config, state_sizes=sizes)
    bridge.build_for((2, 3, 6), [[(2, s.shape[-1]) for s in layer] for layer in source.final_state])
    return bridge


def test_bridge_copies():
    source = memory([[4, 4], [4, 4]])
    found = built_bridge({"type": "copy"}, [[4, 4], [4, 4]], source)(source)
    for layer, expected in zip(found, source.final_state, strict=True):
        for state, own in zip(layer, expected, strict=True):
            np.testing.assert_array_equal(to_numpy(state), to_numpy(own))


@pytest.mark.parametrize("sizes", [[[5]], [[4], [4]], [[4, 4]]])
def test_bridge_copies_only_what_fits(sizes):
    with pytest.raises(ValueError, match=r"bridge: copy needs equal states.*bridge: dense"):
        built_bridge({"type": "copy"}, sizes, memory([[4]]))


def test_bridge_of_zeros():
    source = memory([])
    found = built_bridge({"type": "zero"}, [[4], [5]], source)(source)
    assert [tuple(layer[0].shape) for layer in found] == [(2, 4), (2, 5)]
    assert not any(to_numpy(layer[0]).any() for layer in found)


def test_bridge_of_the_same_layer_and_kind():
    source = memory([[4, 3], [4, 3]])
    for shared, names in ((False, "layer_0_state_0 layer_0_state_1 layer_1_state_0"), (True, "")):
        config = {"type": "dense", "reads": "own", "activation": "linear", "shared": shared}
        bridge = built_bridge(config, [[5, 2], [5, 2]], source)
        weights = randomise_layer(bridge)
        assert len(weights) == (4 if shared else 8)
        assert all(f"{name}/kernel" in weights for name in names.split())
        for i, layer in enumerate(bridge(source)):
            for j, state in enumerate(layer):
                name = f"state_{j}" if shared else f"layer_{i}_state_{j}"
                expected = to_numpy(source.final_state[i][j]) @ weights[f"{name}/kernel"]
                expected = expected + weights[f"{name}/bias"]
                np.testing.assert_allclose(to_numpy(state), expected, atol=1e-6)


def test_bridge_of_the_top_layer():
    source = memory([[4], [4]])
    bridge = built_bridge({"type": "dense", "reads": "top"}, [[5]], source)
    weights = randomise_layer(bridge)
    expected = np.tanh(
        to_numpy(source.final_state[1][0]) @ weights["layer_0_state_0/kernel"]
        + weights["layer_0_state_0/bias"]
    )
    np.testing.assert_allclose(to_numpy(bridge(source)[0][0]), expected, atol=1e-6)


def test_bridge_of_the_same_layer_needs_as_many():
    with pytest.raises(ValueError, match=r"reads: own needs a state .* use reads: all"):
        built_bridge({"type": "dense", "reads": "own"}, [[5]], memory([[4, 4]]))


@pytest.mark.parametrize("states", [[[4, 4], [3]], []])
def test_dense_bridge(states):
    source = memory(states)
    bridge = built_bridge({"type": "dense", "activation": "tanh"}, [[5], [2, 2]], source)
    for dense in keras.tree.flatten(bridge.denses):
        randomise_layer(dense)
    values, mask = to_numpy(source.values), to_numpy(source.mask)
    if states:
        summary = np.concatenate([to_numpy(s) for s in keras.tree.flatten(source.final_state)], -1)
    else:
        summary = np.stack([values[0].mean(0), values[1, 0]])
        np.testing.assert_allclose(to_numpy(masked_mean(source)), summary, atol=1e-6)
        np.testing.assert_allclose(to_numpy(context_vector(source)), summary, atol=1e-6)
    assert mask.sum() == 4
    for layer, denses in zip(bridge(source), bridge.denses, strict=True):
        for state, dense in zip(layer, denses, strict=True):
            kernel, bias = to_numpy(dense.kernel), to_numpy(dense.bias)
            np.testing.assert_allclose(
                to_numpy(state), np.tanh(summary @ kernel + bias), rtol=1e-5, atol=1e-5
            )


def test_cache_is_written_and_grows():
    """Rows 2b and 2b + 1 are the beams of source b."""
    sources, beams = 2, 2
    empty = cache.empty(sources * beams, 3, 4, 5, "float32")
    value = np.random.default_rng(0).normal(size=(sources, 3, beams, 5)).astype("float32")
    written = cache.write(empty, ops.convert_to_tensor(value), 2)
    assert written.shape == (4, 3, 4, 5)
    found = to_numpy(cache.histories(written, cache.all_own(sources, beams, 4), sources))
    for row in range(4):
        np.testing.assert_array_equal(found[row, :, 2], value[row // 2, :, row % 2])
    assert not found[:, :, [0, 1, 3]].any()
    grown = cache.grow(written, 6, sources)
    longer = to_numpy(cache.histories(grown, cache.all_own(sources, beams, 6), sources))
    np.testing.assert_array_equal(longer[:, :, :4], found)
    assert longer.shape[2] == 6 and not longer[:, :, 4:].any()
    with pytest.raises(ValueError, match="capacity 4 cannot shrink to 3"):
        cache.grow(written, 3, sources)


def test_histories_follow_the_ancestors():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(4, 3, 5, 2)).astype("float32")  # what four rows found
    stored = cache.of_histories(ops.convert_to_tensor(rows), 2)
    np.testing.assert_array_equal(
        to_numpy(cache.histories(stored, cache.all_own(2, 2, 5), 2)), rows
    )
    swapped = np.asarray([[1] * 5, [0] * 5, [0, 1, 0, 1, 0], [1] * 5], "int32")
    found = to_numpy(cache.histories(stored, ops.convert_to_tensor(swapped), 2))
    for row, ancestors in enumerate(swapped):
        for place, beam in enumerate(ancestors):
            np.testing.assert_array_equal(found[row, :, place], rows[row // 2 * 2 + beam, :, place])
