"""Fine-tuning goes the way of transformers: the losses of eight steps, for every family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parity.random_checkpoints import all_cases, families, inputs_of, make, save
from small_models import COMPILES, slow_where_compiled, to_numpy

from keras_s2s import Seq2SeqLM
from keras_s2s.checkpoints.huggingface.family import family_tables

transformers = pytest.importorskip("transformers")

#: On compiled backends: a fixed output bias and learned positions, biases by distance and a gate.
COVER = [("bart", "deep"), ("t5", "gated")]
STEPS = 8
#: Large enough for the losses to fall, small enough for rounding to stay below 1e-5.
LEARNING_RATE = 0.05


def checkpoint(family: str, case: str, folder: Path) -> Any:
    """A random model of transformers, saved as one that is trained without dropout."""
    import torch

    other = make(family, case)
    tables = family_tables(family)
    assert tables is not None
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if parameter.ndim > 1 and name not in tables.sinusoids:
                # Of larger weights a rounding error grows a thousandfold in eight steps.
                parameter.mul_(1 / 3)
    for name in ("dropout", "attention_dropout", "activation_dropout", "dropout_rate"):
        if hasattr(other.config, name):
            setattr(other.config, name, 0.0)
    save(other, folder)
    return other


def losses_there(other: Any, inputs: dict[str, np.ndarray], ids: dict[str, np.ndarray]) -> Any:
    """Plain SGD in PyTorch; the masks are given, where transformers would derive them from PAD."""
    import torch

    optimizer = torch.optim.SGD(other.parameters(), lr=LEARNING_RATE)
    losses = []
    for _ in range(STEPS):
        loss = other(
            input_ids=torch.from_numpy(inputs["encoder_token_ids"]).long(),
            attention_mask=torch.from_numpy(inputs["encoder_padding_mask"]).long(),
            decoder_input_ids=torch.from_numpy(inputs["decoder_token_ids"]).long(),
            decoder_attention_mask=torch.from_numpy(inputs["decoder_padding_mask"]).long(),
            labels=torch.from_numpy(np.where(ids["target_mask"], ids["labels"], -100)),
        ).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def losses_here(model: Any, inputs: dict[str, np.ndarray], ids: dict[str, np.ndarray]) -> Any:
    """The same steps by `fit`: one batch is an epoch."""
    from keras.optimizers import SGD

    model.compile(SGD(LEARNING_RATE))
    weights = ids["target_mask"].astype("float32")
    history = model.fit(
        inputs,
        ids["labels"],
        sample_weight=weights,
        epochs=STEPS,
        batch_size=len(weights),
        shuffle=False,
        verbose=0,
    )
    return np.array(history.history["loss"])


def let_pad_learn(other: Any) -> None:
    """Undo `padding_idx`, which keeps the row of PAD from learning as a decoder start."""
    import torch

    for module in other.modules():
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None


def quick(case: tuple[str, str]) -> bool:
    """One case of each family; on compiled backends `COVER`."""
    return case in COVER or (not COMPILES and case[1] in ("deep", "gated", "separate"))


CASES = [
    case if quick(case) else pytest.param(*case, marks=pytest.mark.slow) for case in all_cases()
]


def test_no_family_is_left_out():
    assert {family for family, _ in all_cases()} == set(families())
    if not COMPILES:
        assert {family for family, case in all_cases() if quick((family, case))} == set(families())
    assert set(COVER) <= set(all_cases())


@pytest.mark.parametrize(("family", "case"), CASES)
def test_losses_of_eight_steps(tmp_path, family, case):
    other = checkpoint(family, case, tmp_path)
    inputs, ids = inputs_of(other)
    if inputs["decoder_token_ids"][0, 0] == other.config.pad_token_id:
        let_pad_learn(other)
    expected = losses_there(other, inputs, ids)
    assert expected[-1] < expected[0] - 1e-2, "nothing was learnt, so that nothing is compared"
    found = losses_here(Seq2SeqLM.from_preset(tmp_path, verbose=False), inputs, ids)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@slow_where_compiled
def test_trained_bias_leaves_the_way_of_transformers(tmp_path):
    other = checkpoint("bart", "shallow", tmp_path)
    inputs, ids = inputs_of(other)
    expected = losses_there(other, inputs, ids)
    model = Seq2SeqLM.from_preset(tmp_path, verbose=False, train_output_bias=True)
    found = losses_here(model, inputs, ids)
    assert found[0] == pytest.approx(expected[0], abs=1e-5)
    assert np.all(found[1:] < expected[1:] - 1e-4)


@slow_where_compiled
def test_pad_that_starts_the_decoder_learns(tmp_path):
    """transformers keeps that row as it is, but for what a tied output projection learns."""
    import torch

    other = checkpoint("marian", "separate", tmp_path)
    inputs, ids = inputs_of(other)
    pad = other.config.pad_token_id
    assert np.all(inputs["decoder_token_ids"][:, 0] == pad)
    model = Seq2SeqLM.from_preset(tmp_path, verbose=False)
    expected = losses_there(other, inputs, ids)
    found = losses_here(model, inputs, ids)
    assert found[0] == pytest.approx(expected[0], abs=1e-5)
    assert np.abs(found - expected)[1:].max() > 1e-4
    row = to_numpy(model.network.target_table.embeddings)[pad]
    assert np.abs(row - torch.Tensor(other.lm_head.weight[pad]).detach().numpy()).max() > 1e-4
