"""Marian's recurrent models against its arithmetic in plain NumPy loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checkpoints.marian_files import beam_search, forced, write_npz
from checkpoints.marian_recurrent import PlainRecurrent, random_recurrent
from small_models import covered

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.marian.nematus_names import marian_name, nematus_names
from keras_s2s.model import Seq2SeqLM

SOURCES = [[5, 9, 6, 4, 0], [7, 0], [8, 4, 4, 11, 6, 10, 0]]
TARGETS = [[6, 11, 4, 12, 8, 0], [9, 10, 0], [5, 13, 7, 7, 0]]
EOS, UNK = 0, 1

NEMATUS = {"type": "nematus", "enc_cell": "gru-nematus", "dec_cell": "gru-nematus"}
MODELS = {
    "gru": {},
    "lstm": {"enc_cell": "lstm", "dec_cell": "lstm", "tied_embeddings_all": False},
    "lstm_normalised_deep": {
        "enc_cell": "lstm",
        "dec_cell": "lstm",
        "enc_depth": 2,
        "dec_depth": 2,
        "layer_normalization": True,
        "skip": True,
    },
    "gru_transitions": {
        "enc_depth": 2,
        "enc_cell_depth": 2,
        "dec_depth": 2,
        "dec_cell_base_depth": 4,
        "dec_cell_high_depth": 2,
        "layer_normalization": True,
        "tied_embeddings_all": False,
        "tied_embeddings": True,
    },
    "alternating": {"enc_type": "alternating", "enc_depth": 3},
    "bi_unidirectional": {"enc_type": "bi-unidirectional", "enc_depth": 3, "skip": True},
    "nematus": {**NEMATUS, "tied_embeddings_all": False},
    "nematus_normalised": {
        **NEMATUS,
        "tied_embeddings_all": False,
        "layer_normalization": True,
        "enc_cell_depth": 3,
        "dec_cell_base_depth": 4,
    },
    "nematus_cells": {**NEMATUS, "type": "s2s", "layer_normalization": True},
    "amun": {"type": "amun", "layer_normalization": True},
}
COVER = ["lstm_normalised_deep", "nematus_normalised", "bi_unidirectional"]


def made(tmp_path: Path, name: str) -> tuple[PlainRecurrent, Seq2SeqLM]:
    tensors, settings = random_recurrent(seed=len(name), **MODELS[name])
    written = tensors
    if settings["type"] != "s2s":
        names = nematus_names(tensors, 4, shared=settings["tied-embeddings-all"])
        written = {names[key]: array for key, array in tensors.items()}
        written["decoder_c_tt"] = np.zeros((1, 0), "float32")
    path = write_npz(tmp_path / f"{name}.npz", written, settings)
    return PlainRecurrent(tensors, settings), Seq2SeqLM.from_preset(path)


@pytest.mark.parametrize("name", covered(list(MODELS), COVER))
def test_scores_are_those_of_marians_arithmetic(name, tmp_path):
    plain, model = made(tmp_path, name)
    expected = [sum(forced(plain, *pair)) for pair in zip(SOURCES, TARGETS, strict=True)]
    np.testing.assert_allclose(model.score(SOURCES, TARGETS), expected, atol=2e-4)


@pytest.mark.parametrize("name", covered(list(MODELS), ["nematus"]))
def test_searches_are_marians(name, tmp_path):
    plain, model = made(tmp_path, name)
    output = model.generate(
        model.network.frontend.batch(SOURCES, pad=EOS),
        num_beams=3,
        num_return_sequences=3,
        length_penalty=0.8,
        max_length=9,
        return_output=True,
    )
    for row, source in enumerate(SOURCES):
        for rank, (ids, total, score) in enumerate(beam_search(plain, source, 3, 0.8, 8, EOS, UNK)):
            length = int(output.lengths[row, rank])
            assert output.token_ids[row, rank, :length].tolist() == ids
            assert output.token_log_probs[row, rank].sum() == pytest.approx(total, abs=1e-3)
            assert output.scores[row, rank] == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize("name", covered(list(MODELS), ["nematus_normalised"]))
def test_tensors_come_back_as_they_were(name, tmp_path):
    _, model = made(tmp_path, name)
    folder = model.export(tmp_path / "out", format="marian")
    with np.load(tmp_path / f"{name}.npz") as before, np.load(folder / "model.npz") as after:
        assert set(after.files) == set(before.files)
        for key in before.files:
            if not key.startswith("special:"):
                np.testing.assert_array_equal(after[key], before[key])
    for path in (folder, folder / "model.bin"):
        again = Seq2SeqLM.from_preset(path)
        np.testing.assert_array_equal(again.score(SOURCES, TARGETS), model.score(SOURCES, TARGETS))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim-rnn": 7}, "dim-rnn is 7; the tensor decoder_ff_state_W says 6"),
        ({"dim-emb": 4}, "dim-emb is 4; the tables of tokens say 5"),
        ({"enc-depth": 10**9}, "the file has"),
        ({"enc-cell": "mlstm"}, "enc-cell is 'mlstm'; expected one of gru, lstm"),
        ({"enc-cell-depth": 2}, "missing: encoder_bi_cell2_U"),
        ({"char-stride": 5, "right-left": True}, "right-left is True"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(changes, message, tmp_path):
    tensors, settings = random_recurrent()
    path = write_npz(tmp_path / "m.npz", tensors, {**settings, **changes})
    with pytest.raises(CheckpointError, match=message):
        Seq2SeqLM.from_preset(path)


def test_every_name_of_nematus_comes_back():
    for name, options in MODELS.items():
        tensors, settings = random_recurrent(**options)
        if settings["type"] == "s2s":
            continue
        shared = settings["tied-embeddings-all"]
        theirs = nematus_names(tensors, 4, shared=shared)
        assert len(set(theirs.values())) == len(tensors), name
        assert all(marian_name(theirs[key], shared=shared) == key for key in tensors)
        assert sum(theirs[key] != key for key in tensors) >= 20
