"""LoRA adapters: what is adapted and trained, and that they are saved as adapters or merged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file
from small_batch import INPUTS, LABELS
from small_models import (
    make_model,
    shrunken_preset,
    slow_where_compiled,
    source_mapping,
    to_numpy,
    without_dropout,
)

from keras_s2s import Seq2SeqLM
from keras_s2s.checkpoints.errors import CheckpointError


def small(name: str = "transformer_tiny") -> Seq2SeqLM:
    return make_model(without_dropout(shrunken_preset(name)))


def logits(model: Seq2SeqLM) -> np.ndarray:
    return to_numpy(model(INPUTS))


def train(model: Seq2SeqLM) -> set[str]:
    """Paths of what two steps moved."""
    before = {weight.path: to_numpy(weight).copy() for weight in model.weights}
    model.compile(keras.optimizers.SGD(0.5))
    model.fit(INPUTS, LABELS, epochs=2, shuffle=False, verbose=0)
    return {w.path for w in model.weights if not np.array_equal(to_numpy(w), before[w.path])}


def adapted(**options: Any) -> Seq2SeqLM:
    model = small()
    model.enable_lora(2, alpha=3.0, **options)
    train(model)
    return model


def test_training_moves_the_adapters_alone():
    model = small()
    before = logits(model)
    model.enable_lora(2)
    np.testing.assert_array_equal(logits(model), before)
    attentions = [
        path.removesuffix("/kernel")
        for path in model.frozen
        if "attention/" in path and path.endswith(("query/kernel", "value/kernel"))
    ]
    expected = {f"{path}/lora_kernel_{each}" for path in attentions for each in "ab"}
    assert train(model) == {weight.path for weight in model.trainable_weights} == expected
    assert np.abs(logits(model) - before).max() > 1e-4


@slow_where_compiled
def test_a_preset_folder_keeps_adapters_as_adapters(tmp_path: Path):
    model = adapted()
    expected = logits(model)
    model.save_to_preset(tmp_path / "m")
    again = Seq2SeqLM.from_preset(tmp_path / "m", verbose=False)
    np.testing.assert_array_equal(logits(again), expected)
    assert [w.path for w in again.trainable_weights] == [w.path for w in model.trainable_weights]
    layer = again.network.decoder.blocks[0].cross_attention.query_dense
    assert (layer.lora_rank, layer.lora_alpha) == (2, 3.0)
    report = again.load_report
    assert "decoder/layer_0/cross_attention/query (rank 2)" in report.adapters
    assert "  adapters    decoder/layer_0/cross_attention/query (rank 2), " in str(report)
    # The weights below are those of the model before it was adapted.
    plain, stored = small(), load_file(tmp_path / "m" / "model.safetensors")
    for weight in plain.weights:
        np.testing.assert_array_equal(stored[weight.path], to_numpy(weight))
    assert train(again) == {w.path for w in model.trainable_weights}


def test_merged_it_is_a_plain_model(tmp_path: Path):
    model = adapted()
    expected = logits(model)
    model.save_to_preset(tmp_path / "m", merge_adapters=True)
    np.testing.assert_array_equal(logits(model), expected)
    again = Seq2SeqLM.from_preset(tmp_path / "m")
    assert again.load_report is None and not again.frozen
    assert [w.path for w in again.weights] == [w.path for w in small().weights]
    np.testing.assert_allclose(logits(again), expected, rtol=1e-5, atol=1e-5)
    assert "adapters" not in yaml.safe_load((tmp_path / "m" / "preset.yaml").read_text())


def test_generation_and_scores_use_the_adapters(tmp_path: Path):
    model = small()
    sources = source_mapping([[5, 6, 7, 3], [8, 3]])
    rows = [[5, 6, 7, 3], [8, 3]], [[5, 6, 3], [4, 3]]
    before = model.score(*rows)
    model.generate(sources, max_length=6)
    model.enable_lora(2, alpha=3.0)
    train(model)
    model.save_to_preset(tmp_path / "m", merge_adapters=True)
    merged = Seq2SeqLM.from_preset(tmp_path / "m")
    assert np.abs(model.score(*rows) - before).max() > 1e-3
    np.testing.assert_allclose(model.score(*rows), merged.score(*rows), rtol=1e-4)
    np.testing.assert_array_equal(
        model.generate(sources, max_length=6), merged.generate(sources, max_length=6)
    )


@slow_where_compiled
@pytest.mark.parametrize(
    ("targets", "count"),
    [
        ("query", 6),
        (["key", "output"], 12),
        (["decoder/*/cross_attention/*"], 8),
        (["*/feed_forward/inner", "value"], 10),
    ],
)
def test_targets(targets, count):
    model = small()
    model.enable_lora(1, targets=targets)
    assert len(model.trainable_weights) == 2 * count


@slow_where_compiled
def test_attention_of_a_recurrent_decoder(tmp_path):
    model = small("gru_bahdanau")
    model.enable_lora(2, targets=["query", "key"])
    assert {w.path.rpartition("/")[0] for w in model.trainable_weights} == {
        "decoder/attention/query",
        "decoder/attention/key",
    }
    train(model)
    model.save_to_preset(tmp_path / "m")
    again = Seq2SeqLM.from_preset(tmp_path / "m", verbose=False)
    np.testing.assert_array_equal(logits(again), logits(model))


@slow_where_compiled
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 2, "targets": "qury"}, "no dense layer.*'qury'; the nearest are 'query'"),
        ({"rank": 2, "targets": ["decoder/*/iner"]}, r"no dense layer.*'decoder/\*/iner'"),
        ({"rank": 0}, "rank=0; expected a whole number above 0"),
        ({"rank": 2, "alpha": 0}, "alpha=0; expected a number above 0"),
    ],
)
def test_what_cannot_be_adapted(options, message):
    model = small()
    with pytest.raises(ValueError, match=message):
        model.enable_lora(**options)
    assert not model.frozen


@slow_where_compiled
def test_once_only_and_not_after_quantisation():
    model = small()
    model.enable_lora(2)
    with pytest.raises(ValueError, match="has LoRA adapters already"):
        model.enable_lora(2)
    model = small()
    model.network.decoder.blocks[0].self_attention.query_dense.quantize("int8")
    with pytest.raises(ValueError, match=r"before model\.quantize"):
        model.enable_lora(2)


@slow_where_compiled
def test_unfreezing_leaves_the_adapted_kernels():
    model = small()
    model.enable_lora(2)
    model.unfreeze()
    assert set(model.frozen) == {
        w.path for w in model.weights if w.path.endswith(("query/kernel", "value/kernel"))
    }


@slow_where_compiled
def test_a_folder_whose_adapters_do_not_fit_is_refused(tmp_path: Path):
    adapted().save_to_preset(tmp_path / "m")
    path = tmp_path / "m" / "preset.yaml"
    settings = yaml.safe_load(path.read_text())
    first = next(iter(settings["adapters"]))
    settings["adapters"][first]["rank"] = 3
    path.write_text(yaml.safe_dump(settings))
    with pytest.raises(CheckpointError, match=rf"wrong shape: {first}/lora_kernel_a"):
        Seq2SeqLM.from_preset(tmp_path / "m")
    settings["adapters"].pop(first)
    path.write_text(yaml.safe_dump(settings))
    with pytest.raises(CheckpointError, match=rf"unexpected: {first}/lora_kernel_a"):
        Seq2SeqLM.from_preset(tmp_path / "m")
