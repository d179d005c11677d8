"""Pictures: their data, and that something was drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from keras_s2s import Seq2SeqLM, plot_attention  # noqa: E402
from keras_s2s.plots import attention_of, can_draw, plot_learning_curve  # noqa: E402
from keras_s2s.text import Preprocessor  # noqa: E402

PAIRS = [("abc", "cba"), ("bca", "acb")]


def small(preset: str, **architecture) -> Seq2SeqLM:
    return Seq2SeqLM.from_preset(
        preset,
        load_weights=False,
        preprocessor=Preprocessor.train(PAIRS, "character"),
        architecture={"shared": {"hidden_dim": 8, "embedding": {"dim": 8}}, **architecture},
    )


@pytest.fixture(scope="module")
def model() -> Seq2SeqLM:
    return small("gru_bahdanau")


def test_attention_has_a_row_for_each_target_token(model: Seq2SeqLM) -> None:
    source, target, weights = attention_of(model, "abc", "cb")
    assert source == ["a", "b", "c", "</s>"]
    assert target == ["c", "b", "</s>"]
    assert weights.shape == (3, 4)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-5)


def test_a_picture_is_written(model: Seq2SeqLM, tmp_path: Path) -> None:
    path = tmp_path / "attention.png"
    ax = plot_attention(model, "abc", path=path, max_length=5)
    pixels = matplotlib.pyplot.imread(path)
    assert (
        pixels.shape[0] > 100 and len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 20
    )
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["a", "b", "c", "</s>"]
    matplotlib.pyplot.close("all")


def test_a_decoder_without_attention_says_so() -> None:
    with pytest.raises(ValueError, match="no attention to show"):
        plot_attention(small("lstm_seq2seq"), "abc", "cb")


def test_a_learning_curve_is_written(tmp_path: Path) -> None:
    path = tmp_path / "curve.png"
    history = {"loss": [2.0, 1.0], "val_loss": [2.1, 1.2], "val_token_accuracy": [0.5, 0.7]}
    plot_learning_curve(history, path)
    assert matplotlib.pyplot.imread(path).std() > 0.01


@pytest.mark.parametrize("epochs", [1, 2, 3, 40])
def test_epochs_are_counted_in_whole_numbers(epochs: int, tmp_path: Path, monkeypatch) -> None:
    figures = []
    monkeypatch.setattr(matplotlib.pyplot, "close", figures.append)
    values = [2.0 / epoch for epoch in range(1, epochs + 1)]
    plot_learning_curve({"loss": values, "val_token_accuracy": values}, tmp_path / "curve.png")
    (figure,) = figures
    assert len(figure.axes) == 2
    for ax in figure.axes:
        low, high = ax.get_xlim()
        shown = [tick for tick in ax.get_xticks() if low <= tick <= high]
        assert shown and all(tick == round(tick) for tick in shown)
        assert {1} <= set(shown) if epochs < 4 else True
        labels = [label.get_text() for label in ax.get_xticklabels()]
        assert len(set(labels)) == len(labels)
        assert "." not in "".join(labels)
    monkeypatch.undo()
    matplotlib.pyplot.close("all")


def test_which_texts_the_fonts_can_write() -> None:
    assert can_draw("March 3, 1999 é я")
    assert not can_draw("\U000f0000")
