"""Recurrent models, step after step, against the papers' equations written in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_models import Probe, attention, make_model, model_inputs, recurrent, to_numpy, variant

SOURCE, HISTORY = [5, 9, 6, 4, 3], [2, 7, 8, 13]


def weights_of(model: Any) -> dict[str, np.ndarray]:
    return {v.path: to_numpy(v.value).astype("float64") for v in model.weights}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    x = np.exp(x - x.max())
    return x / x.sum()


def rnn_cell(w, x, h):
    return [np.tanh(x @ w["kernel"] + h[0] @ w["recurrent_kernel"] + w["bias"])]


def gru_cell(w, x, h):
    """Cho's gates in Keras' order (z, r, candidate), the reset gate after the product."""
    (h,) = h
    a = x @ w["kernel"] + w["bias"][0]
    b = h @ w["recurrent_kernel"] + w["bias"][1]
    az, ar, an = np.split(a, 3)
    bz, br, bn = np.split(b, 3)
    z, r = sigmoid(az + bz), sigmoid(ar + br)
    return [z * h + (1 - z) * np.tanh(an + r * bn)]


def lstm_cell(w, x, state):
    """Input, forget, candidate, output."""
    h, c = state
    i, f, g, o = np.split(x @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(c), c]


CELLS = {"rnn": rnn_cell, "gru": gru_cell, "lstm": lstm_cell}


def part(weights, *places):
    """Weights whose path has all of `places`, by their last name."""
    chosen = {
        path.rsplit("/", 1)[1]: value
        for path, value in weights.items()
        if all(place in path.split("/") for place in places)
    }
    assert chosen, (places, sorted(weights))
    return chosen


def run_layer(cell, w, xs, state):
    outputs = []
    for x in xs:
        state = CELLS[cell](w, x, state)
        outputs.append(state[0])
    return np.asarray(outputs), state


def zeros(cell, width=8):
    return [np.zeros(width) for _ in range(2 if cell == "lstm" else 1)]


def source_vectors(weights):
    return weights["source_table/embeddings"][SOURCE]


def bias_and_kernel(weights, *places):
    w = part(weights, *places)
    return w["kernel"], w["bias"]


def logits_of(weights, hidden):
    return hidden @ weights["logits/dense/kernel"] + weights["logits/bias"]


def bahdanau(weights):
    """Bidirectional GRU; attend with s_{t-1}; the GRU reads [y; c]; readout of [s; c; y]."""
    xs = source_vectors(weights)
    forward, f = run_layer("gru", part(weights, "encoder", "forward_layer_0"), xs, zeros("gru"))
    backward, b = run_layer(
        "gru", part(weights, "encoder", "backward_layer_0"), xs[::-1], zeros("gru")
    )
    h = np.concatenate([forward, backward[::-1]], axis=1)
    kernel, bias = bias_and_kernel(weights, "decoder", "layer_0_state_0")
    state = [np.tanh(np.concatenate([f[0], b[0]]) @ kernel + bias)]
    cell = part(weights, "decoder", "layer_0")
    readout = bias_and_kernel(weights, "readout")
    wa, ua = part(weights, "attention", "query")["kernel"], part(weights, "attention", "key")
    va = part(weights, "attention", "score")["kernel"][:, 0]
    logits, attentions = [], []
    for token in HISTORY:
        y = weights["target_table/embeddings"][token]
        energy = np.tanh(state[0] @ wa + h @ ua["kernel"] + ua["bias"]) @ va
        alpha = softmax(energy)
        c = alpha @ h
        state = gru_cell(cell, np.concatenate([y, c]), state)
        hidden = np.tanh(np.concatenate([state[0], c, y]) @ readout[0] + readout[1])
        logits.append(logits_of(weights, hidden))
        attentions.append(alpha)
    return np.asarray(logits), np.asarray(attentions)


def luong(weights):
    """Two LSTM layers; h~ = tanh(W [h; c]) is fed into the next step [Luong 2015, 3.3]."""
    xs, state = source_vectors(weights), []
    for i in range(2):
        xs, final = run_layer("lstm", part(weights, "encoder", f"layer_{i}"), xs, zeros("lstm"))
        state.append(final)
    h = xs
    bilinear = part(weights, "attention", "key")["kernel"]
    kernel, bias = bias_and_kernel(weights, "readout")
    feed, logits, attentions = np.zeros(8), [], []
    for token in HISTORY:
        x = np.concatenate([weights["target_table/embeddings"][token], feed])
        for i in range(2):
            state[i] = lstm_cell(part(weights, "decoder", f"layer_{i}"), x, state[i])
            x = state[i][0]
        alpha = softmax(h @ bilinear @ x)
        feed = np.tanh(np.concatenate([x, alpha @ h]) @ kernel + bias)
        logits.append(logits_of(weights, feed))
        attentions.append(alpha)
    return np.asarray(logits), np.asarray(attentions)


def cho(weights):
    """The final state c of the encoder starts the decoder and enters every step."""
    _, final = run_layer(
        "gru", part(weights, "encoder", "layer_0"), source_vectors(weights), zeros("gru")
    )
    c = final[0]
    kernel, bias = bias_and_kernel(weights, "decoder", "layer_0_state_0")
    state = [np.tanh(c @ kernel + bias)]
    readout = bias_and_kernel(weights, "readout")
    logits = []
    for token in HISTORY:
        y = weights["target_table/embeddings"][token]
        state = gru_cell(part(weights, "decoder", "layer_0"), np.concatenate([y, c]), state)
        hidden = np.tanh(np.concatenate([state[0], y, c]) @ readout[0] + readout[1])
        logits.append(logits_of(weights, hidden))
    return np.asarray(logits), None


def sutskever(weights):
    """The encoder's final state is the decoder's first one; nothing else of the source."""
    xs = source_vectors(weights)
    _, state = run_layer("rnn", part(weights, "encoder", "layer_0"), xs, zeros("rnn"))
    ys = weights["target_table/embeddings"][HISTORY]
    hidden, _ = run_layer("rnn", part(weights, "decoder", "layer_0"), ys, state)
    return logits_of(weights, hidden), None


MODELS = {
    "bahdanau": (
        bahdanau,
        {
            "encoder": recurrent("gru", bidirectional=True, embedding={"dim": 5}),
            "decoder": recurrent("gru", embedding={"dim": 6}, **attention("additive", "previous")),
            "bridge": {"type": "dense"},
        },
    ),
    "luong": (
        luong,
        {
            "encoder": recurrent("lstm", num_layers=2),
            "decoder": recurrent(
                "lstm", num_layers=2, **attention("general", "current", input_feeding=True)
            ),
            "bridge": {"type": "copy"},
        },
    ),
    "cho": (
        cho,
        {
            "encoder": recurrent("gru"),
            "decoder": recurrent("gru", context="every_step"),
            "bridge": {"type": "dense"},
        },
    ),
    "sutskever": (
        sutskever,
        {
            "encoder": recurrent("rnn"),
            "decoder": recurrent("rnn"),
            "bridge": {"type": "copy"},
        },
    ),
}


@pytest.mark.parametrize("name", list(MODELS))
def test_equations(name):
    equations, architecture = MODELS[name]
    probe = Probe(make_model(variant(architecture), seed=6))
    expected, expected_attention = equations(weights_of(probe.model))
    inputs = model_inputs(
        [SOURCE], [HISTORY], probe.model.special_ids, source_length=8, target_length=6
    )
    logits, attention_ = probe.logits_and_attention(inputs)
    np.testing.assert_allclose(logits[0, : len(HISTORY)], expected, atol=2e-5)
    if expected_attention is not None:
        found = attention_[0, : len(HISTORY), : len(SOURCE)]
        np.testing.assert_allclose(found, expected_attention, rtol=1e-5, atol=1e-5)
