"""Parameter counts that presets declare."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import architectures

from keras_s2s.builder import build_network, functional_graph
from keras_s2s.catalog import load_preset
from keras_s2s.config import ArchitectureConfig

#: Those of public checkpoints are counted without allocating: tests/checkpoints.
DECLARED = [name for name in architectures() if load_preset(name).parameters is not None]


def closed_formula(config: ArchitectureConfig) -> int:
    """Parameters of a post-norm Transformer with biases and one tied table [Vaswani 2017]."""
    total = 0
    for side, attentions in (("encoder", 1), ("decoder", 2)):
        part = getattr(config, side)
        d, f = part.hidden_dim, part.intermediate_dim
        attention = 4 * (d * d + d)
        feed_forward = d * f + f + f * d + d
        norms = (attentions + 1) * 2 * d
        total += part.num_layers * (attentions * attention + feed_forward + norms)
    return total + config.target_vocab_size * config.encoder.hidden_dim


def test_the_papers_models_declare_theirs():
    assert {"transformer_base", "transformer_big"} <= set(DECLARED)


@pytest.mark.parametrize("name", ["transformer_base", "transformer_big"])
def test_closed_formula(name):
    preset = load_preset(name)
    assert preset.architecture.share_embeddings and preset.architecture.output.tie_embeddings
    assert closed_formula(preset.architecture) == preset.parameters
    # Table 3 of the paper: 65 and 213 million, rounded, at a vocabulary of about 37 000.
    paper = {"transformer_base": 65e6, "transformer_big": 213e6}[name]
    assert preset.parameters == pytest.approx(paper, rel=0.04)


def test_closed_formula_holds_for_what_is_built():
    config = load_preset("transformer_base").architecture.model_dump()
    for side in ("encoder", "decoder"):
        config[side].update(hidden_dim=8, num_heads=2, intermediate_dim=12)
    config["source_vocab_size"] = config["target_vocab_size"] = 50
    small = ArchitectureConfig.model_validate(config)
    assert built(small) == closed_formula(small)


@pytest.mark.slow
@pytest.mark.parametrize("name", DECLARED)
def test_built_model(name):
    preset = load_preset(name)
    assert built(preset.architecture) == preset.parameters


def built(config: ArchitectureConfig) -> int:
    import keras

    inputs, logits = functional_graph(build_network(config))
    model = keras.Model(inputs, logits)
    return sum(int(np.prod(weight.shape)) for weight in model.weights)
