"""Attention of recurrent decoders against the papers' formulas, written in NumPy."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from keras import ops
from small_models import randomise_layer, to_numpy

from keras_s2s.config import AttentionConfig
from keras_s2s.layers import (
    AdditiveAttention,
    BilinearAttention,
    ConcatAttention,
    DotAttention,
)
from keras_s2s.layers.recurrent import attention

B, T, S, D, E, U = 2, 3, 4, 6, 5, 7
RNG = np.random.default_rng(0)
QUERY = RNG.normal(size=(B, T, D)).astype("float32")
VALUES = {width: RNG.normal(size=(B, S, width)).astype("float32") for width in (D, E)}
MASK = np.asarray([[1, 1, 1, 0], [1, 1, 1, 1]], bool)


def additive(w, q, h):
    """v . tanh(W q + U h + b) [Bahdanau 2015, A.1.2]."""
    hidden = np.tanh(q @ w["query/kernel"] + h @ w["key/kernel"] + w["key/bias"])
    return hidden @ w["score/kernel"][:, 0]


def concat(w, q, h):
    """v . tanh(W [q; h]) [Luong 2015, equation 8]."""
    whole = np.concatenate([w["query/kernel"], w["key/kernel"]])
    return np.tanh(np.concatenate([q, h]) @ whole) @ w["score/kernel"][:, 0]


def general(w, q, h):
    """q . W h [Luong 2015, equation 8]."""
    return q @ (h @ w["key/kernel"])


def dot(w, q, h):
    """q . h [Luong 2015, equation 8]."""
    return q @ h


SCORES = {
    "additive": (AdditiveAttention, {"units": U}, additive, E),
    "concat": (ConcatAttention, {"units": U}, concat, E),
    "general": (BilinearAttention, {}, general, E),
    "dot": (DotAttention, {}, dot, D),
}


def test_every_score_of_a_configuration_has_a_layer_and_a_formula():
    named = get_args(AttentionConfig.model_fields["score"].annotation)
    assert len(named) >= 4
    assert set(named) == set(attention.SCORES) == set(SCORES)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("name", list(SCORES))
def test_context_and_weights(name, masked):
    cls, options, formula, width = SCORES[name]
    layer, values = cls(**options), VALUES[width]
    layer.build(QUERY.shape, values.shape)
    weights = randomise_layer(layer)
    expected = np.zeros((B, T, S))
    for b in range(B):
        for t in range(T):
            for s in range(S):
                expected[b, t, s] = formula(weights, QUERY[b, t], values[b, s])
    expected = np.exp(expected)
    if masked:
        expected *= MASK[:, None]
    expected /= expected.sum(-1, keepdims=True)

    mask = ops.convert_to_tensor(MASK) if masked else None
    context, found = layer(ops.convert_to_tensor(QUERY), ops.convert_to_tensor(values), mask=mask)
    np.testing.assert_allclose(to_numpy(found), expected, atol=1e-6)
    np.testing.assert_allclose(
        to_numpy(context), np.einsum("bts,bsd->btd", expected, values), atol=1e-5
    )
    if masked:
        assert not to_numpy(found)[0, :, 3].any()


def test_the_parameters_are_the_papers():
    names = {}
    for name, (cls, options, _, width) in SCORES.items():
        layer = cls(**options)
        layer.build(QUERY.shape, VALUES[width].shape)
        names[name] = sorted(randomise_layer(layer))
    assert names["dot"] == []
    assert names["general"] == ["key/kernel"]
    assert names["concat"] == ["key/kernel", "query/kernel", "score/kernel"]
    assert names["additive"] == ["key/bias", "key/kernel", "query/kernel", "score/kernel"]


def test_dot_needs_equal_widths():
    with pytest.raises(ValueError, match="one width, but the decoder has 6 and the encoder 5"):
        DotAttention().build((B, T, D), (B, S, E))
