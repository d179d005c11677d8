"""Gradient checkpointing: the same training, dropout included, with less to keep."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from small_models import covered, make_model, shrunken_preset, slow_where_compiled, to_numpy

from keras_s2s import ConfigError, Seq2SeqLM
from keras_s2s.layers.transformer.feed_forward import FeedForward

INPUTS: dict[str, Any] = {
    "encoder_token_ids": np.array([[5, 6, 7, 3], [8, 3, 0, 0]], "int32"),
    "encoder_padding_mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool),
    "decoder_token_ids": np.array([[2, 5, 6], [2, 4, 3]], "int32"),
    "decoder_padding_mask": np.array([[1, 1, 1], [1, 1, 0]], bool),
}
LABELS = np.array([[5, 6, 3], [4, 3, 0]], "int32")
BACKEND = keras.backend.backend()


def small(name: str = "transformer_tiny") -> Seq2SeqLM:
    keras.utils.set_random_seed(3)  # of dropout
    model = make_model(shrunken_preset(name))
    assert model.preset.architecture.encoder.dropout > 0
    return model


def trained(model: Seq2SeqLM, checkpointing: bool, steps: int = 3) -> list[float]:
    model.compile(keras.optimizers.SGD(0.3), gradient_checkpointing=checkpointing)
    keras.utils.set_random_seed(4)  # PyTorch drops by its own
    options: dict[str, Any] = dict(epochs=steps, shuffle=False, verbose=0)
    return model.fit(INPUTS, LABELS, **options).history["loss"]


@pytest.mark.parametrize("name", covered(["t5_tiny", "transformer_tiny"], ["t5_tiny"]))
def test_weights_and_losses_are_those_without_it(name):
    """Also biases of positions, which flow into every block, and what dropout dropped."""
    plain, model = small(name), small(name)
    losses = trained(plain, False)
    assert len({round(loss, 3) for loss in losses}) == 3
    np.testing.assert_allclose(trained(model, True), losses, rtol=1e-5)
    for mine, theirs in zip(plain.weights, model.weights, strict=True):
        np.testing.assert_allclose(to_numpy(theirs), to_numpy(mine), rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX computes again what it traced once")
@slow_where_compiled
def test_blocks_are_computed_again(monkeypatch):
    """PyTorch calls them twice a step, TensorFlow traces them twice."""
    calls = []
    call = FeedForward.call

    def counted(self: Any, *arguments: Any, **options: Any) -> Any:
        calls.append(self.path)
        return call(self, *arguments, **options)

    monkeypatch.setattr(FeedForward, "call", counted)
    counts = {}
    for checkpointing in (False, True):
        model = small()
        calls.clear()
        trained(model, checkpointing, steps=1)
        counts[checkpointing] = len(calls)
    blocks = len(model.network.encoder.blocks) + len(model.network.decoder.blocks)
    assert counts[True] - counts[False] >= blocks
    if BACKEND == "torch":
        assert counts[True] - counts[False] == blocks


@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch tells what it keeps")
def test_less_is_kept_for_the_backward_pass():
    import torch

    kept = {}
    for checkpointing in (False, True):
        model = small()
        model.compile("sgd", gradient_checkpointing=checkpointing)
        sizes: dict[int, int] = {}

        def keep(tensor: Any, sizes: dict[int, int] = sizes) -> Any:
            sizes[tensor.data_ptr()] = tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            logits = model(INPUTS, training=True)
        assert logits.requires_grad
        kept[checkpointing] = sum(sizes.values())
    assert kept[True] < kept[False] / 2


@pytest.mark.skipif(BACKEND != "jax", reason="JAX shows its program")
def test_the_program_of_jax_computes_again():
    import jax

    for checkpointing in (False, True):
        for fused in (False, True):
            model = small()
            model.compile("sgd", gradient_checkpointing=checkpointing, fused_loss=fused)
            model.optimizer.build(model.trainable_variables)
            model.train_on_batch(INPUTS, LABELS)  # makes the variables of the metrics
            state = [
                [variable.value for variable in variables]
                for variables in (
                    model.trainable_variables,
                    model.non_trainable_variables,
                    model.optimizer.variables,
                    model.metrics_variables,
                )
            ]
            program = str(jax.make_jaxpr(model.train_step)(state, (INPUTS, LABELS)))
            assert ("remat" in program or "checkpoint[" in program) == checkpointing, fused


@slow_where_compiled
def test_it_is_shown_and_saved(tmp_path):
    model = small()
    trained(model, True, steps=1)
    assert model.training_report() == ["gradient checkpointing"]
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert again.training_report() == ["gradient checkpointing"]
    again.compile("sgd")
    assert again.training_report() == []


@slow_where_compiled
def test_a_model_without_blocks():
    with pytest.raises(ValueError, match=r"are RecurrentEncoder and RecurrentDecoder; leave"):
        make_model(shrunken_preset("gru_bahdanau")).compile("sgd", gradient_checkpointing=True)


@slow_where_compiled
def test_a_recipe_for_such_a_model_names_the_key(tmp_path):
    from recipes.test_runner import run

    with pytest.raises(ConfigError, match=r"training\.gradient_checkpointing: "):
        run(tmp_path / "run", "training.gradient_checkpointing=true")
