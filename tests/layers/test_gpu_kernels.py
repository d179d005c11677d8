"""Recurrent weights have the layout of the GPU kernels, so that they load and run anywhere."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from small_models import VARIANTS, architectures, shrunken_preset

from keras_s2s.builder import build_network

CONFIGS = {**{name: shrunken_preset(name) for name in architectures()}, **VARIANTS}
RECURRENT = [
    name
    for name, config in CONFIGS.items()
    if "recurrent" in (config.architecture.encoder.type, config.architecture.decoder.type)
]


def suits_them(part: Any) -> bool:
    """Whether a side's own settings leave cells as the GPU kernels know them."""
    return part.type != "recurrent" or (part.activation == "tanh" and part.use_bias)


USUAL = [
    name
    for name in RECURRENT
    if suits_them(CONFIGS[name].architecture.encoder)
    and suits_them(CONFIGS[name].architecture.decoder)
]


def recurrent_layers(name: str) -> list[keras.layers.RNN]:
    network = build_network(CONFIGS[name].architecture)
    layers = [*getattr(network.encoder, "rnns", []), *getattr(network.decoder, "rnns", [])]
    flat = []
    for layer in layers:
        bidirectional = isinstance(layer, keras.layers.Bidirectional)
        flat += [layer.forward_layer, layer.backward_layer] if bidirectional else [layer]
    return flat


@pytest.mark.parametrize("name", USUAL)
def test_settings_suit_the_gpu_kernels(name):
    layers = recurrent_layers(name)
    assert layers
    for layer in layers:
        config = layer.get_config()
        assert config["activation"] == "tanh"
        assert config["recurrent_dropout"] == 0
        assert config["unroll"] is False
        assert config["use_bias"] is True
        if isinstance(layer, keras.layers.GRU):
            assert config["reset_after"] is True
        if isinstance(layer, keras.layers.GRU | keras.layers.LSTM):
            assert config["recurrent_activation"] == "sigmoid"


def test_walk_finds_recurrent_models():
    assert len(RECURRENT) >= 12
    assert len(USUAL) >= len(RECURRENT) - 4
