"""Position tables, offsets and the place of the norm, against transformers and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops
from small_models import randomise_layer, to_numpy

from keras_s2s.layers import InputEmbedding
from keras_s2s.layers.positions import sinusoidal_table

POSITIONS = np.asarray([0, 1, 2, 3, 7, 40, 200, 511], "int32")
X = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")


def table(dim: int, layout: str) -> np.ndarray:
    return to_numpy(sinusoidal_table(ops.convert_to_tensor(POSITIONS), dim, layout))


@pytest.mark.parametrize("dim", [4, 8, 9, 64])
def test_halves_are_marians(dim):
    marian = pytest.importorskip("transformers.models.marian.modeling_marian")
    theirs = marian.MarianSinusoidalPositionalEmbedding(512, dim).create_weight().numpy()
    # Float32 holds an angle of 511 to 3e-5; theirs are float64's.
    for position, found in zip(POSITIONS, table(dim, "halves"), strict=True):
        np.testing.assert_allclose(found, theirs[position], atol=1e-6 + 8e-8 * position)


@pytest.mark.parametrize("dim", [2, 4, 8, 9, 64, 512])
def test_tensor2tensors_are_m2m_100s(dim):
    m2m_100 = pytest.importorskip("transformers.models.m2m_100.modeling_m2m_100")
    if dim == 2:  # One pair: theirs divides by zero, and its one rate is 1 in tensor2tensor.
        p = POSITIONS.astype("float64")
        expected = np.stack([np.sin(p), np.cos(p)], axis=1)
    else:
        embedding = m2m_100.M2M100SinusoidalPositionalEmbedding
        expected = embedding.get_embedding(512, dim).numpy()[POSITIONS]
    for position, found, row in zip(POSITIONS, table(dim, "tensor2tensor"), expected, strict=True):
        np.testing.assert_allclose(found, row, atol=1e-6 + 8e-8 * position)


@pytest.mark.parametrize("layout", ["interleaved", "halves", "tensor2tensor"])
def test_sinusoids_start_at_the_offset(layout):
    options = {"positions": "sinusoidal", "sinusoids": layout}
    plain, moved = InputEmbedding(options), InputEmbedding({**options, "position_offset": 2})
    x = ops.convert_to_tensor(X)
    for start in (0, 3):
        expected = to_numpy(plain(x, start=start + 2, training=False))
        np.testing.assert_array_equal(to_numpy(moved(x, start=start, training=False)), expected)


def test_a_learned_table_has_rows_for_the_offset():
    layer = InputEmbedding({"positions": "learned", "max_positions": 6, "position_offset": 2})
    layer.build(X.shape)
    (rows,) = randomise_layer(layer).values()
    assert rows.shape == (8, 8)
    assert [w.path.split("/", 1)[1] for w in layer.weights] == ["positions/embeddings"]
    for start in (0, 1):
        found = to_numpy(layer(ops.convert_to_tensor(X), start=start, training=False))
        np.testing.assert_allclose(found, X + rows[2 + start : 7 + start], atol=1e-6)


@pytest.mark.parametrize("offset", [0, 2])
def test_rows_beyond_a_learned_table_are_refused(offset):
    """JAX's own gather gives NaN there."""
    options = {"positions": "learned", "position_offset": offset}
    most = X.shape[1]
    layer = InputEmbedding({**options, "max_positions": most})
    assert np.isfinite(to_numpy(layer(ops.convert_to_tensor(X), training=False))).all()
    layer = InputEmbedding({**options, "max_positions": most - 1}, name="source_embedding")
    with pytest.raises(ValueError, match=f"rows have {most} ids, .* positions for {most - 1}"):
        layer(ops.convert_to_tensor(X), training=False)


@pytest.mark.parametrize("place", ["before_positions", "after_positions"])
def test_place_and_epsilon_of_the_norm(place):
    options = {"scale": True, "norm": True, "norm_place": place, "norm_epsilon": 0.5}
    layer = InputEmbedding({"positions": "learned", "max_positions": 5, **options})
    layer.build(X.shape)
    w = randomise_layer(layer)

    def normalised(x: np.ndarray) -> np.ndarray:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 0.5)
        return x * w["norm/gamma"] + w["norm/beta"]

    scaled, rows = X * np.sqrt(8), w["positions/embeddings"]
    early = place == "before_positions"
    expected = normalised(scaled) + rows if early else normalised(scaled + rows)
    found = to_numpy(layer(ops.convert_to_tensor(X), training=False))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
