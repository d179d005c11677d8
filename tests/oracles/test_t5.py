"""A T5 and a UMT5 against transformers' own, layer by layer and whole, with the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contracts.checks import assert_equal_logits
from keras import layers, ops
from small_models import Probe, make_model, model_inputs, randomise, to_numpy, transformer, variant

from keras_s2s.layers import FeedForward, MultiHeadAttention

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

V, D, HEADS, HEAD_DIM, FFN, DEPTH = 16, 8, 2, 3, 12, 2
RNG = np.random.default_rng(2)
X = RNG.normal(size=(2, 7, D)).astype("float32")


def their_model(kind: str, **options: Any) -> Any:
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=V,
        d_model=D,
        d_kv=HEAD_DIM,
        d_ff=FFN,
        num_layers=DEPTH,
        num_heads=HEADS,
        relative_attention_num_buckets=6,
        relative_attention_max_distance=9,
        layer_norm_epsilon=1e-3,
        pad_token_id=0,
        decoder_start_token_id=0,
        **options,
    )
    return getattr(transformers, f"{kind}ForConditionalGeneration")(config).eval()


def our_model(*, per_layer: bool, activation: str, gated: bool, tied: bool) -> Any:
    part = transformer(
        head_dim=HEAD_DIM,
        norm_order="pre",
        norm="rms",
        norm_epsilon=1e-3,
        activation=activation,
        gated=gated,
        use_bias=False,
        scale_attention=False,
        relative_positions={"num_buckets": 6, "max_distance": 9, "per_layer": per_layer},
        output_dropout=0.1,
        embedding={"positions": "none", "scale": False, "dropout": 0.1},
    )
    output = {"tie_embeddings": tied, "bias": False, "scale": tied}
    return make_model(variant({"shared": part, "share_embeddings": True, "output": output}))


def copy(theirs: Any, ours: dict[str, np.ndarray], gated: bool) -> None:
    """Fill a model of theirs; every weight of ours is used, and every one of theirs set."""
    left = dict(ours)
    if "logits/dense/kernel" in ours:  # transformers ties every T5, even one that comes untied.
        theirs.config.tie_word_embeddings = False
        theirs.lm_head.weight = torch.nn.Parameter(theirs.lm_head.weight.detach().clone())
    unset = {name for name, _ in theirs.named_parameters()}

    def put(name: str, path: str, turn: bool = False) -> None:
        value = left.pop(path)
        with torch.no_grad():
            theirs.get_parameter(name).copy_(torch.from_numpy(value.T.copy() if turn else value))
        unset.discard(name)

    put("shared.weight", "token_table/embeddings")
    if "logits/dense/kernel" in left:
        put("lm_head.weight", "logits/dense/kernel", turn=True)
    for side, parts in (("encoder", ("Self",)), ("decoder", ("Self", "EncDec"))):
        put(f"{side}.final_layer_norm.weight", f"{side}/norm/scale")
        if f"{side}/relative_positions/embeddings" in left:
            table = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
            put(table, f"{side}/relative_positions/embeddings")
        for i in range(DEPTH):
            there, here = f"{side}.block.{i}.layer", f"{side}/layer_{i}"
            for n, part in enumerate(parts):
                own = {"Self": "self_attention", "EncDec": "cross_attention"}[part]
                for letter, name in zip("qkvo", ("query", "key", "value", "output"), strict=True):
                    put(
                        f"{there}.{n}.{part}Attention.{letter}.weight",
                        f"{here}/{own}/{name}/kernel",
                        True,
                    )
                put(f"{there}.{n}.layer_norm.weight", f"{here}/{own}_norm/scale")
            if f"{here}/relative_positions/embeddings" in left:
                table = f"{there}.0.SelfAttention.relative_attention_bias.weight"
                put(table, f"{here}/relative_positions/embeddings")
            n = len(parts)
            dense = f"{there}.{n}.DenseReluDense"
            if gated:
                put(f"{dense}.wi_0.weight", f"{here}/feed_forward/gate/kernel", True)
                put(f"{dense}.wi_1.weight", f"{here}/feed_forward/inner/kernel", True)
            else:
                put(f"{dense}.wi.weight", f"{here}/feed_forward/inner/kernel", True)
            put(f"{dense}.wo.weight", f"{here}/feed_forward/outer/kernel", True)
            put(f"{there}.{n}.layer_norm.weight", f"{here}/feed_forward_norm/scale")
    assert not left and not unset, (left.keys(), unset)


CASES = {
    "t5": (
        "T5",
        {"feed_forward_proj": "relu"},
        {"per_layer": False, "activation": "relu", "gated": False, "tied": True},
    ),
    "t5 1.1": (
        "T5",
        {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        {"per_layer": False, "activation": "gelu_tanh", "gated": True, "tied": False},
    ),
    "umt5": (
        "UMT5",
        {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        {"per_layer": True, "activation": "gelu_tanh", "gated": True, "tied": False},
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_whole_model(name):
    kind, theirs, ours = CASES[name]
    model, other = our_model(**ours), their_model(kind, **theirs)
    weights = {w.path: to_numpy(w.value) for w in model.weights}
    copy(other, weights, ours["gated"])
    sources = [RNG.integers(4, V, n).tolist() for n in (23, 5, 1)]
    targets = [[0, *RNG.integers(4, V, n).tolist()] for n in (19, 2, 8)]
    inputs = model_inputs(sources, targets, model.special_ids)
    with torch.no_grad():
        expected = other(
            input_ids=torch.from_numpy(inputs["encoder_token_ids"]).long(),
            attention_mask=torch.from_numpy(inputs["encoder_padding_mask"]).long(),
            decoder_input_ids=torch.from_numpy(inputs["decoder_token_ids"]).long(),
        ).logits.numpy()
    real = inputs["decoder_padding_mask"]
    assert_equal_logits(Probe(model).logits(inputs)[real], expected[real], name)


@pytest.mark.parametrize("epsilon", [1e-6, 0.5])
def test_rms_norm(epsilon):
    t5 = transformers.models.t5.modeling_t5
    ours, theirs = layers.RMSNormalization(epsilon=epsilon), t5.T5LayerNorm(D, eps=epsilon)
    ours.build(X.shape)
    randomise(ours)
    with torch.no_grad():
        theirs.weight.copy_(torch.from_numpy(to_numpy(ours.scale.value)))
        # Small vectors too: there epsilon decides.
        for x in (X, X * 1e-3):
            expected = theirs(torch.from_numpy(x)).numpy()
            np.testing.assert_allclose(
                to_numpy(ours(ops.convert_to_tensor(x))), expected, rtol=2e-6, atol=1e-7
            )


def test_gate_is_the_activated_one():
    t5 = transformers.models.t5.modeling_t5
    config = transformers.T5Config(d_model=D, d_ff=FFN, feed_forward_proj="gated-gelu")
    theirs = t5.T5DenseGatedActDense(config).eval()
    ours = FeedForward(
        hidden_dim=D, intermediate_dim=FFN, activation="gelu_tanh", gated=True, use_bias=False
    )
    ours.build(X.shape)
    randomise(ours)
    with torch.no_grad():
        for linear, dense in (
            (theirs.wi_0, ours.gate_dense),
            (theirs.wi_1, ours.inner_dense),
            (theirs.wo, ours.outer_dense),
        ):
            linear.weight.copy_(torch.from_numpy(to_numpy(dense.kernel).T.copy()))
        expected = theirs(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(
        to_numpy(ours(ops.convert_to_tensor(X))), expected, rtol=1e-5, atol=1e-5
    )


def test_heads_of_any_width_without_scale():
    layer = MultiHeadAttention(hidden_dim=D, num_heads=HEADS, head_dim=5, scale=False)
    layer.build(X.shape, X.shape)
    randomise(layer)
    w = {v.path.removeprefix(f"{layer.name}/"): to_numpy(v.value) for v in layer.weights}

    def heads(name: str) -> np.ndarray:
        flat = X @ w[f"{name}/kernel"] + w[f"{name}/bias"]
        return flat.reshape(2, 7, HEADS, 5).transpose(0, 2, 1, 3)

    scores = heads("query") @ heads("key").swapaxes(-1, -2)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    context = (weights @ heads("value")).transpose(0, 2, 1, 3).reshape(2, 7, HEADS * 5)
    expected = context @ w["output/kernel"] + w["output/bias"]
    x = ops.convert_to_tensor(X)
    np.testing.assert_allclose(to_numpy(layer(x, x)), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="hidden_dim=8 is not a multiple of num_heads=3"):
        MultiHeadAttention(hidden_dim=8, num_heads=3)
