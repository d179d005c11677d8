"""Exposure bias, against passes that are called one by one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from small_models import (
    Probe,
    covered,
    make_model,
    model_inputs,
    shrunken_preset,
    slow_where_compiled,
)

import keras_s2s as s2s
from keras_s2s.analysis import ExposureBias, exposure_bias, plot_exposure_bias

PAIRS = [([5, 9, 6, 3], [7, 8, 13, 6, 3]), ([8, 3], [4, 3]), ([10, 4, 3], [9, 9, 14, 3])]


def plainly(model: Any, pairs: Any) -> dict[str, list[list[float]]]:
    """Losses and hits by position, a pair at a time and a whole pass for each position."""
    probe, start = Probe(model), model.special_ids.target.decoder_start
    found: dict[str, list[list[float]]] = {}

    def add(name: str, position: int, logits: np.ndarray, label: int) -> None:
        logits = logits.astype("float64")
        log_prob = logits[label] - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        for value, kind in ((-log_prob, "loss"), (float(logits.argmax() == label), "right")):
            values = found.setdefault(f"{name}_{kind}", [])
            values.extend([] for _ in range(position + 1 - len(values)))
            values[position].append(value)

    for source, target in pairs:
        for name in ("forced", "own"):
            read = [start]
            for position, label in enumerate(target):
                inputs = model_inputs(
                    [source], [read], model.special_ids, source_length=4, target_length=5
                )
                logits = probe.logits(inputs)[0, position]
                add(name, position, logits, label)
                read.append(label if name == "forced" else int(logits.argmax()))
    return found


@pytest.mark.parametrize(
    "name", covered(["gru_bahdanau", "transformer_tiny", "lstm_seq2seq"], ["transformer_tiny"])
)
def test_it_is_what_passes_one_by_one_give(name):
    model = make_model(shrunken_preset(name), seed=3, scale=2.0)
    bias = exposure_bias(model, PAIRS, batch_size=2)
    expected = plainly(model, PAIRS)
    for way, key in ((bias.teacher_forced, "forced"), (bias.own_outputs, "own")):
        assert way.tokens.tolist() == [3, 3, 2, 2, 1]
        for values, kind in ((way.loss, "loss"), (way.accuracy, "right")):
            by_position = expected[f"{key}_{kind}"]
            np.testing.assert_allclose(values, [np.mean(v) for v in by_position], rtol=1e-4)
        every = [value for values in expected[f"{key}_loss"] for value in values]
        assert way.mean_loss == pytest.approx(np.mean(every), rel=1e-5)
    assert bias.loss_gap == pytest.approx(
        bias.own_outputs.mean_loss - bias.teacher_forced.mean_loss
    )
    assert bias.teacher_forced.loss[0] == bias.own_outputs.loss[0]
    assert bias.teacher_forced.mean_loss != bias.own_outputs.mean_loss


@slow_where_compiled
def test_batches_change_nothing_and_a_repr_says_what_was_measured():
    model = make_model(shrunken_preset("gru_bahdanau"), seed=3, scale=2.0)
    one, three = (exposure_bias(model, PAIRS, batch_size=size) for size in (1, 3))
    np.testing.assert_allclose(one.own_outputs.loss, three.own_outputs.loss, rtol=1e-5)
    batches = s2s.data.Batches(PAIRS, special_ids=model.special_ids, batch_size=2)
    given = s2s.exposure_bias(model, batches)
    np.testing.assert_allclose(given.own_outputs.loss, three.own_outputs.loss, rtol=1e-5)
    assert repr(three) == (
        f"ExposureBias(teacher forced: loss {three.teacher_forced.mean_loss:.4f}, token accuracy "
        f"{three.teacher_forced.mean_accuracy:.2%}; own outputs: loss "
        f"{three.own_outputs.mean_loss:.4f}, token accuracy "
        f"{three.own_outputs.mean_accuracy:.2%}; 11 tokens at 5 positions)"
    )


@slow_where_compiled
def test_texts_and_no_texts():
    pairs = [("ab", "ba"), ("b", "b")]
    model = s2s.Seq2SeqLM.from_preset(
        "gru_bahdanau",
        load_weights=False,
        preprocessor=s2s.text.Preprocessor.train(pairs, "character"),
        architecture={"shared": {"hidden_dim": 4, "embedding": {"dim": 4}}},
    )
    assert exposure_bias(model, pairs).own_outputs.tokens.tolist() == [2, 2, 1]
    with pytest.raises(ValueError, match="no "):
        exposure_bias(model, [])


@slow_where_compiled
def test_it_is_measured_within_training():
    """On JAX the weights are elsewhere then."""
    model = make_model(shrunken_preset("gru_bahdanau"), seed=3)
    found: list[ExposureBias] = []

    class Measure(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            found.append(exposure_bias(model, PAIRS))

    batches = s2s.data.Batches(PAIRS, special_ids=model.special_ids, num_buckets=1)
    model.compile(keras.optimizers.Adam(0.02))
    model.fit(batches, epochs=2, callbacks=[Measure()], verbose=0)
    assert found[1].teacher_forced.mean_loss < found[0].teacher_forced.mean_loss


@slow_where_compiled
def test_the_picture(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    bias = exposure_bias(make_model(shrunken_preset("gru_bahdanau")), PAIRS)
    axes = plot_exposure_bias(bias, path=tmp_path / "bias.png")
    assert (tmp_path / "bias.png").stat().st_size > 1000
    assert s2s.plot_exposure_bias(bias, axes=axes) is axes
    np.testing.assert_allclose(axes[0].lines[1].get_ydata(), bias.own_outputs.loss)
    np.testing.assert_allclose(axes[1].lines[0].get_ydata(), bias.teacher_forced.accuracy)
