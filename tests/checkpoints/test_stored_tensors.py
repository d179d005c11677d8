"""Tensors that a family ties, computes or drops: compared first, and named in the report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints.changed_folders import change, rewrite
from parity.random_checkpoints import make, save
from small_models import slow_where_compiled, to_numpy

from keras_s2s import Seq2SeqLM
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.sinusoid_tables import sines_before_cosines, sinusoid_table

transformers = pytest.importorskip("transformers")

POSITIONS = "model.{}.embed_positions.weight"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folder of a family, made once; a copy of it to change."""
    known: dict[tuple[str, str], Path] = {}

    def get(family: str, tmp_path: Path, case: str = "shallow") -> Path:
        if (family, case) not in known:
            known[family, case] = save(make(family, case), tmp_path_factory.mktemp(family))
        return Path(shutil.copytree(known[family, case], tmp_path / family))

    return get


def logits_of(model: Any) -> np.ndarray:
    """Of the same ids, by one of ours or one of theirs."""
    ids, mask = np.arange(12).reshape(2, 6) + 6, np.ones((2, 6), "bool")
    if isinstance(model, Seq2SeqLM):
        inputs = {"encoder_token_ids": ids, "encoder_padding_mask": mask}
        inputs |= {"decoder_token_ids": ids, "decoder_padding_mask": mask}
        return to_numpy(model(inputs))
    import torch

    with torch.no_grad():
        given = torch.from_numpy(ids)
        return model.eval()(input_ids=given, decoder_input_ids=given).logits.numpy()


# ------------------------------------------------------------------ tied tables


@slow_where_compiled
@pytest.mark.parametrize("family", ["bart", "m2m_100", "marian", "pegasus", "t5", "umt5"])
def test_an_output_that_is_said_to_be_stored_is_missing(folders, tmp_path, family):
    folder = folders(family, tmp_path)
    change(folder, tie_word_embeddings=False)
    with pytest.raises(CheckpointError, match=r"missing: lm_head\.weight \(\d+, 12\)"):
        Seq2SeqLM.from_preset(folder, verbose=False)
    model = Seq2SeqLM.from_preset(folder, strict=False, verbose=False)
    assert "logits/dense/kernel" in model.load_report.fresh
    assert np.ptp(to_numpy(model.network.output.dense.kernel)) > 0


@slow_where_compiled
@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_a_table_that_is_said_to_be_separate_is_missing(folders, tmp_path, side):
    folder = folders("marian", tmp_path, "separate")

    def edit(tensors):
        for name in (f"model.{side}.embed_tokens.weight", "lm_head.weight"):
            tensors.pop(name, None)

    rewrite(folder, edit)
    with pytest.raises(CheckpointError, match=rf"missing: model\.{side}\.embed_tokens\.weight"):
        Seq2SeqLM.from_preset(folder, verbose=False)


@slow_where_compiled
def test_a_table_that_nothing_reads_is_named(folders, tmp_path):
    folder = folders("t5", tmp_path)
    name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    rewrite(folder, lambda tensors: tensors.update({name: np.ones((8, 3), "float32")}))
    assert Seq2SeqLM.from_preset(folder, verbose=False).load_report.unused == (name,)


# ------------------------------------------------------------------ positions


@slow_where_compiled
@pytest.mark.parametrize("family", ["marian", "pegasus"])
def test_stored_positions_that_are_no_sinusoids_are_used(folders, tmp_path, family):
    folder = folders(family, tmp_path)
    rows = {"encoder": sines_before_cosines(40, 12), "decoder": sines_before_cosines(40, 12)}
    rows["decoder"] = rows["decoder"][::-1].copy()
    stored = {POSITIONS.format(side): table for side, table in rows.items()}
    rewrite(folder, lambda tensors: tensors.update(stored))
    model = Seq2SeqLM.from_preset(folder, verbose=False)
    report = model.load_report
    assert report.computed == (POSITIONS.format("encoder"),)
    assert POSITIONS.format("decoder") in report.loaded and not report.unused
    assert any("taken as learned positions, 40" in note for note in report.notes)
    there = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder)
    np.testing.assert_allclose(logits_of(model), logits_of(there), atol=3e-5)
    assert there.get_decoder().embed_positions.weight[0, 0] != 0  # it reads them, too
    # They go back, and come again.
    model.export(tmp_path / "back", format="huggingface")
    again = Seq2SeqLM.from_preset(tmp_path / "back", verbose=False)
    np.testing.assert_array_equal(logits_of(again), logits_of(model))
    model.save_to_preset(tmp_path / "own")
    own = Seq2SeqLM.from_preset(tmp_path / "own")
    np.testing.assert_array_equal(logits_of(own), logits_of(model))


@slow_where_compiled
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_stored_sinusoids_are_computed(folders, tmp_path, dtype):
    folder = folders("marian", tmp_path)
    name = POSITIONS.format("encoder")
    table = sines_before_cosines(40, 12).astype(dtype)
    rewrite(folder, lambda tensors: tensors.update({name: table}))
    report = Seq2SeqLM.from_preset(folder, verbose=False).load_report
    assert report.computed == (name,) and not report.notes
    assert f"computed    {name}" in str(report)


@slow_where_compiled
@pytest.mark.parametrize("shape", [(40, 6), (40,), (0, 12)])
def test_positions_of_another_shape_are_refused(folders, tmp_path, shape):
    folder = folders("marian", tmp_path)
    name = POSITIONS.format("decoder")
    rewrite(folder, lambda tensors: tensors.update({name: np.ones(shape, "float32")}))
    with pytest.raises(ValueError, match=r"embed_positions|max_positions|positions"):
        Seq2SeqLM.from_preset(folder, verbose=False)


@slow_where_compiled
def test_positions_of_m2m_100(folders, tmp_path):
    """transformers computes these and reads none; what is there must be the same."""
    folder = folders("m2m_100", tmp_path)
    name = "model.encoder.embed_positions.weights"
    table = sinusoid_table("tensor2tensor", 0, 42, 12)
    table[1] = 0  # PAD's
    rewrite(folder, lambda tensors: tensors.update({name: table}))
    assert Seq2SeqLM.from_preset(folder, verbose=False).load_report.computed == (name,)
    rewrite(folder, lambda tensors: tensors.update({name: table[::-1].copy()}))
    with pytest.raises(CheckpointError, match=r"other values: .*embed_positions\.weights"):
        Seq2SeqLM.from_preset(folder, verbose=False)
    report = Seq2SeqLM.from_preset(folder, strict=False, verbose=False).load_report
    assert report.unused == (name,) and report.computed == ()
