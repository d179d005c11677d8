"""Folders of transformers' EncoderDecoderModel, of every encoder and decoder of the zoo: logits,
loss, answers, eight steps of training, and back.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parity.random_pairs import (
    IDS,
    all_pairs,
    batch,
    halves,
    make_pair,
    outputs_there,
    randomise,
    save_pair,
)
from small_models import COMPILES, covered, slow_where_compiled, to_numpy

from keras_s2s import Seq2SeqLM
from keras_s2s.checkpoints.huggingface.family import half_families_by_model_type

transformers = pytest.importorskip("transformers")

PAIRS = all_pairs()
#: On compiled backends: shared blocks with projected embeddings, a fused projection of GPT-2.
COVER = [("albert", "bert"), ("bert", "gpt2")]
OPTIONS: list[dict[str, Any]] = [
    dict(num_beams=1, max_length=12),
    dict(num_beams=4, max_length=12),
    dict(num_beams=3, max_length=10, length_penalty=0.4, no_repeat_ngram_size=2),
    dict(num_beams=2, max_length=11, repetition_penalty=1.4, min_length=5),
    dict(num_beams=1, max_length=9, bad_words_ids=[[7], [8, 9]], forced_eos_token_id=5),
]
STEPS, LEARNING_RATE = 8, 0.05


def test_every_half_is_here():
    assert len(half_families_by_model_type()) >= 8
    assert {one for one, _ in PAIRS} == set(halves("encoder"))
    assert {other for _, other in PAIRS} == set(halves("decoder"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    known: dict[Any, Any] = {}

    def get(encoder: str, decoder: str) -> tuple[Any, Path, Seq2SeqLM]:
        if (encoder, decoder) not in known:
            other = make_pair(encoder, decoder)
            folder = save_pair(other, tmp_path_factory.mktemp(f"{encoder}-{decoder}"))
            model = Seq2SeqLM.from_preset(folder, verbose=False)
            known[encoder, decoder] = other, folder, model
        return known[encoder, decoder]

    return get


def assert_equal_logits(model: Seq2SeqLM, other: Any) -> None:
    import torch

    ours, _ = batch()
    with torch.no_grad():
        expected = outputs_there(other, ours).logits.numpy()
    real = ours["decoder_padding_mask"]
    found = to_numpy(model(ours))
    # Logits of tens: a rounding of 1e-5 of the largest in either library.
    bound = 1e-5 * max(1, np.abs(expected[real]).max())
    np.testing.assert_allclose(found[real], expected[real], rtol=0, atol=2 * bound)


@pytest.mark.parametrize(("encoder", "decoder"), covered(PAIRS, COVER))
def test_logits_and_loss(made, encoder, decoder):
    import torch

    other, _, model = made(encoder, decoder)
    assert_equal_logits(model, other)
    assert not model.load_report.fresh
    ours, ids = batch()
    labels = np.where(ids["target_mask"], ids["labels"], -100)
    with torch.no_grad():
        expected = outputs_there(other, ours, labels).loss.item()
    found = model.evaluate(
        ours,
        ids["labels"],
        sample_weight=ids["target_mask"].astype("float32"),
        verbose=0,
        return_dict=True,
    )
    assert found["loss"] == pytest.approx(expected, rel=2e-5, abs=1e-5)


def until(ids: np.ndarray) -> list[int]:
    row, eos = ids.tolist(), IDS["eos_token_id"]
    return row[: row.index(eos) + 1] if eos in row else row


@pytest.mark.parametrize("options", OPTIONS[:2] if COMPILES else OPTIONS, ids=str)
@pytest.mark.parametrize(("encoder", "decoder"), covered(PAIRS, COVER))
def test_generation(made, encoder, decoder, options):
    import torch

    other, _, model = made(encoder, decoder)
    ours, _ = batch()
    with torch.no_grad():
        expected = other.generate(
            input_ids=torch.from_numpy(ours["encoder_token_ids"]).long(),
            attention_mask=torch.from_numpy(ours["encoder_padding_mask"]).long(),
            do_sample=False,
            **options,
        ).numpy()[:, 1:]
    found = model.generate(
        {name: ours[name] for name in ("encoder_token_ids", "encoder_padding_mask")}, **options
    )
    assert [until(row) for row in found] == [until(row) for row in expected]


@pytest.mark.parametrize(("encoder", "decoder"), covered(PAIRS, COVER))
def test_written_back(made, tmp_path, encoder, decoder):
    """transformers loads the folder with equal logits; it misses a pooler, which nothing reads."""
    import torch

    other, folder, model = made(encoder, decoder)
    model.export(tmp_path, format="huggingface")
    again, info = transformers.EncoderDecoderModel.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert {name.split(".")[1] for name in info["missing_keys"]} <= {"pooler"}
    assert not info["unexpected_keys"] and not info["mismatched_keys"]
    ours, _ = batch()
    with torch.no_grad():
        expected = outputs_there(other, ours).logits
        found = outputs_there(again.eval(), ours).logits
    real = torch.from_numpy(ours["decoder_padding_mask"])
    torch.testing.assert_close(found[real], expected[real], rtol=0, atol=0)
    before, after = (
        json.loads((place / "config.json").read_text()) for place in (folder, tmp_path)
    )
    for side in ("encoder", "decoder"):
        changed = {k for k in before[side] if before[side][k] != after[side].get(k)}
        assert not changed, {key: (before[side][key], after[side].get(key)) for key in changed}


@pytest.mark.parametrize(("encoder", "decoder"), covered(PAIRS, COVER))
def test_saved_and_loaded(made, tmp_path, encoder, decoder):
    _, _, model = made(encoder, decoder)
    model.save_to_preset(tmp_path / "preset")
    again = Seq2SeqLM.from_preset(tmp_path / "preset")
    ours, _ = batch()
    np.testing.assert_array_equal(to_numpy(again(ours)), to_numpy(model(ours)))
    again.export(tmp_path / "back", format="huggingface")
    once_more = Seq2SeqLM.from_preset(tmp_path / "back", verbose=False)
    np.testing.assert_array_equal(to_numpy(once_more(ours)), to_numpy(model(ours)))


#: Rates of dropout of the families, by their keys.
RATES = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "dropout",
    "attention_dropout",
    "activation_dropout",
    "resid_pdrop",
    "embd_pdrop",
    "attn_pdrop",
)


def without_dropout(other: Any) -> None:
    for config in (other.config.encoder, other.config.decoder):
        for name in RATES:
            if hasattr(config, name):
                setattr(config, name, 0.0)


@pytest.mark.parametrize(("encoder", "decoder"), covered(PAIRS, COVER[1:]))
def test_losses_of_eight_steps(tmp_path, encoder, decoder):
    """Plain SGD without dropout; every weight learns, and PAD's row where a library lets it."""
    import torch
    from keras.optimizers import SGD

    other = make_pair(encoder, decoder)
    randomise(other, scale=0.2)
    without_dropout(other)
    save_pair(other, tmp_path)
    ours, ids = batch()
    labels = np.where(ids["target_mask"], ids["labels"], -100)
    optimizer = torch.optim.SGD(other.parameters(), lr=LEARNING_RATE)
    expected = []
    for _ in range(STEPS):
        loss = outputs_there(other, ours, labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    assert expected[-1] < expected[0] - 1e-2, "nothing was learnt, so that nothing is compared"
    model = Seq2SeqLM.from_preset(tmp_path, verbose=False)
    crossing = next(v for v in model.weights if "cross_attention/value/kernel" in v.path)
    before = to_numpy(crossing.value).copy()
    model.compile(SGD(LEARNING_RATE))
    history = model.fit(
        ours,
        ids["labels"],
        sample_weight=ids["target_mask"].astype("float32"),
        epochs=STEPS,
        batch_size=len(labels),
        shuffle=False,
        verbose=0,
    )
    np.testing.assert_allclose(history.history["loss"], expected, rtol=1e-5, atol=1e-5)
    assert np.abs(to_numpy(crossing.value) - before).max() > 1e-4, "cross-attention learns"


@slow_where_compiled
def test_source_reaches_the_logits(made):
    """A graph without a cross-attention block would give equal logits."""
    _, _, model = made("bert", "gpt2")
    ours, _ = batch()
    logits = to_numpy(model(ours))
    for block in model.network.decoder.blocks:
        value = block.cross_attention.value_dense.kernel
        kept = to_numpy(value.value).copy()
        value.assign(np.zeros_like(kept))
        assert np.abs(to_numpy(model(ours)) - logits).max() > 1e-3, block.name
        value.assign(kept)
