"""LoRA, quantisation and precision: what can be saved can be loaded, or saving names the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from quantising import quantise
from small_models import COMPILES, covered, shrink, slow_where_compiled, to_numpy

from keras_s2s.catalog import load_preset
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.model import Seq2SeqLM

INPUTS: dict[str, Any] = {
    "encoder_token_ids": np.array([[5, 6, 7, 3], [8, 3, 0, 0]], "int32"),
    "encoder_padding_mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool),
    "decoder_token_ids": np.array([[2, 5, 6], [2, 4, 3]], "int32"),
    "decoder_padding_mask": np.array([[1, 1, 1], [1, 1, 0]], bool),
}
LABELS = np.array([[5, 6, 3], [4, 3, 0]], "int32")
MODES = ["int8", "int4", "float8"]


def small(dtype: str | None = None) -> Seq2SeqLM:
    return Seq2SeqLM(shrink(load_preset("transformer_tiny")), dtype=dtype)


def with_lora(model: Seq2SeqLM) -> Seq2SeqLM:
    count = 0
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dense) and layer.name in ("query", "value"):
            layer.enable_lora(2)
            layer.lora_kernel_b.assign(np.full(layer.lora_kernel_b.shape, 0.1))
            count += 1
    assert count > 3
    return model


def logits(model: Seq2SeqLM) -> np.ndarray:
    return to_numpy(model(INPUTS))


@pytest.mark.parametrize("mode", covered(MODES, ["int8"]))
@pytest.mark.parametrize("dtype", covered([None, "mixed_bfloat16"], [None]))
def test_a_quantised_model_comes_back(tmp_path: Path, mode: str, dtype: str | None):
    model = quantise(small(dtype), mode)
    expected = logits(model)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(logits(again), expected)
    assert [v.dtype for v in again.weights] == [v.dtype for v in model.weights]

    model.save_weights(tmp_path / "m.weights.h5")
    other = quantise(small(dtype), mode)
    other.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(logits(other), expected)


@slow_where_compiled
def test_weights_of_a_quantised_model_do_not_fit_a_plain_one(tmp_path: Path):
    quantise(small(), "int8").save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(CheckpointError, match=r"not quantised.*after model\.quantize"):
        small().load_weights(tmp_path / "m.weights.h5")
    small().save_weights(tmp_path / "plain.weights.h5")
    with pytest.raises(CheckpointError, match=r"quantised \(int8\).*plain ones before"):
        quantise(small(), "int8").load_weights(tmp_path / "plain.weights.h5")


@pytest.mark.parametrize("trained", [False] if COMPILES else [False, True])
def test_a_model_with_lora_comes_back_merged(tmp_path: Path, trained: bool):
    model = with_lora(small())
    if trained:
        model.compile("adam")
        model.fit(INPUTS, LABELS, verbose=0)
    expected = logits(model)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(logits(again), expected, rtol=1e-5, atol=1e-5)
    assert not any("lora" in v.name for v in again.weights)
    again.save_to_preset(tmp_path / "preset")

    model.save_weights(tmp_path / "m.weights.h5")
    other = small()
    other.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_allclose(logits(other), expected, rtol=1e-5, atol=1e-5)


def test_an_adapter_on_quantised_weights_is_refused(tmp_path: Path):
    model = with_lora(quantise(small(), "int8"))
    with pytest.raises(ValueError, match=r"has a LoRA adapter.*before model\.quantize\(\)"):
        model.save(tmp_path / "model.keras")


@slow_where_compiled
@pytest.mark.parametrize("format", ["tf_saved_model", "huggingface", "ctranslate2"])
def test_what_other_formats_have_no_place_for_is_refused_with_the_remedy(tmp_path: Path, format):
    with pytest.raises(CheckpointError, match=r"LoRA weights.*merge them first"):
        with_lora(small()).export(tmp_path / "out", format=format)
    with pytest.raises(CheckpointError, match=r"quantised weights.*before model\.quantize"):
        quantise(small(), "int8").export(tmp_path / "out", format=format)
    assert not (tmp_path / "out").exists()


@slow_where_compiled
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_of_keras_that_are_not_finite_are_refused(tmp_path: Path, value: float):
    model = small()
    norm = next(v for v in model.weights if v.path == "decoder/norm/beta")
    norm.assign(np.full(norm.shape, value))
    model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(CheckpointError, match="decoder/norm/beta: 8 of 8 values"):
        small().load_weights(tmp_path / "m.weights.h5")
