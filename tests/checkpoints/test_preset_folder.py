"""A preset folder holds plain weights, and is whole at every moment."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from contracts import checks
from quantising import quantise
from small_models import Probe, make_model, shrunken_preset, slow_where_compiled

from keras_s2s.checkpoints.preset_folder import CheckpointError
from keras_s2s.model import Seq2SeqLM
from keras_s2s.text import Preprocessor


@pytest.fixture
def model() -> Seq2SeqLM:
    return make_model(shrunken_preset("gru_bahdanau"), seed=1)


def adapted(model: Seq2SeqLM) -> list[str]:
    """Enable LoRA on two projections, with weights that change what the model says."""
    attention = model.network.decoder.attention
    rng = np.random.default_rng(2)
    for dense in (attention.query_dense, attention.key_dense):
        dense.enable_lora(2)
        for variable in (dense.lora_kernel_a, dense.lora_kernel_b):
            variable.assign(rng.normal(size=variable.shape))
    return [dense.path for dense in (attention.query_dense, attention.key_dense)]


def test_adapters_of_single_layers_come_back_and_can_be_merged(model, tmp_path: Path) -> None:
    inputs = checks.batch(model)
    before = Probe(model).logits(inputs)
    layers = adapted(model)
    expected = Probe(model).logits(inputs)
    assert np.abs(expected - before).max() > 0.01
    model.save_to_preset(tmp_path / "adapted")
    again = Seq2SeqLM.from_preset(tmp_path / "adapted", verbose=False)
    np.testing.assert_array_equal(Probe(again).logits(inputs), expected)
    assert {w.path.rpartition("/")[0] for w in again.trainable_weights} == set(layers)

    model.save_to_preset(tmp_path / "merged", merge_adapters=True)
    # The other way to merge, which is Keras' own.
    model.save(tmp_path / "merged.keras")
    keras.saving.load_model(tmp_path / "merged.keras").save_to_preset(tmp_path / "by_keras")
    for name in ("merged", "by_keras"):
        merged = Seq2SeqLM.from_preset(tmp_path / name)
        np.testing.assert_allclose(Probe(merged).logits(inputs), expected, rtol=1e-5, atol=1e-5)


@slow_where_compiled
@pytest.mark.parametrize("mode", ["int8", "float8"])
def test_quantised_weights_are_refused_by_layer(model, mode, tmp_path: Path) -> None:
    quantise(model, mode)
    with pytest.raises(CheckpointError, match=r"has quantised weights.*before model\.quantize"):
        model.save_to_preset(tmp_path / "preset")
    assert not (tmp_path / "preset").exists()


def test_an_interrupt_while_the_old_tokenizer_is_removed_loses_nothing(
    tmp_path: Path, monkeypatch
) -> None:
    model = Seq2SeqLM.from_preset(
        "gru_bahdanau",
        load_weights=False,
        preprocessor=Preprocessor.train([("abc", "cba")], "character"),
        architecture={"shared": {"hidden_dim": 8, "embedding": {"dim": 8}}},
    )
    model.save_to_preset(tmp_path)
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert len(files) >= 3
    real, calls = shutil.rmtree, 0

    def rmtree(path: str | Path, **options: bool) -> None:
        nonlocal calls
        calls += 1
        real(path, **options)
        if calls == 2:  # the first one clears what an earlier crash may have left
            raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    with pytest.raises(KeyboardInterrupt):
        model.save_to_preset(tmp_path)
    monkeypatch.undo()
    assert {path for path in tmp_path.rglob("*") if path.is_file()} >= files
    assert Seq2SeqLM.from_preset(tmp_path).preprocessor is not None
