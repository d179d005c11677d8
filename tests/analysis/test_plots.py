"""Pictures: their data, and that something was drawn."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from small_models import slow_where_compiled  # noqa: E402

from keras_s2s import (  # noqa: E402
    Seq2SeqLM,
    plot_attention,
    plots,
)
from keras_s2s.analysis.plots import (  # noqa: E402
    MOST_HEIGHT,
    MOST_WIDTH,
    attention_figure,
    attention_of,
    can_draw,
    draw_attention,
    fonts_for,
    plot_learning_curve,
)
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
    assert not can_draw("\U00012000")


def _drawn(sources: list[str], targets: list[str], weights: np.ndarray | None = None):
    """Axes with an attention, after everything was laid out and drawn."""
    if weights is None:
        weights = np.full((len(targets), len(sources)), 1 / len(sources))
    size = plots._figure_size(sources, targets)
    figure, ax = matplotlib.pyplot.subplots(figsize=size, layout="constrained")
    draw_attention(ax, sources, targets, weights)
    figure.canvas.draw()
    return ax


def _names(labels) -> list[str]:
    return [label.get_text() for label in labels]


def test_colours_reach_the_largest_weight() -> None:
    """The mean over a Transformer's heads stays far below 1."""
    weights = np.full((3, 20), 0.04)
    weights[1, 2] = 0.24
    ax = _drawn(["x"] * 20, ["y"] * 3, weights)
    assert ax.images[0].get_clim() == (0.0, 0.24)
    assert _drawn(["x"], ["y"], np.zeros((1, 1))).images[0].get_clim() == (0.0, 1.0)
    matplotlib.pyplot.close("all")


def test_axis_titles_stand_beside_their_tokens() -> None:
    ax = _drawn(["ab", "c"], ["d", "efg"])
    renderer = ax.figure.canvas.get_renderer()
    image = ax.get_window_extent(renderer)
    for axis in (ax.xaxis, ax.yaxis):
        title = axis.label.get_window_extent(renderer)
        names = [label.get_window_extent(renderer) for label in axis.get_ticklabels()]
        for name in names:
            assert not title.overlaps(name)
        if axis is ax.xaxis:
            assert title.y0 > max(name.y0 for name in names) > image.y1 - 1
        else:
            assert title.x1 < min(name.x1 for name in names) < image.x0 + 1
    matplotlib.pyplot.close("all")


@slow_where_compiled
def test_a_long_picture_is_capped_and_its_names_do_not_touch() -> None:
    ax = _drawn([f"w{i}" for i in range(700)], [f"v{i}" for i in range(900)])
    width, height = ax.figure.get_size_inches()
    assert (width, height) == (MOST_WIDTH, MOST_HEIGHT)
    renderer = ax.figure.canvas.get_renderer()
    names = [label.get_window_extent(renderer) for label in ax.get_yticklabels()]
    assert 30 < len(names) < 200
    assert all(not a.overlaps(b) for a, b in itertools.pairwise(names))
    assert ax.get_yticklabels()[1].get_text() == f"v{int(ax.get_yticks()[1])}"
    matplotlib.pyplot.close("all")


def test_what_leaves_no_mark_is_named_and_dollars_are_no_formulas() -> None:
    tokens = ["\n", "\t", "\u200f", "\u202f", "\x07", "$x_", "$\\frac$", "y" * 90]
    ax = _drawn(tokens, ["$", "<0xE2>"])
    shown = _names(ax.get_xticklabels())
    assert shown[:3] == ["<line feed>", "<tab>", "<right-to-left mark>"]
    assert shown[3:5] == ["<narrow no-break space>", "<bell>"]
    assert shown[5:7] == ["$x_", "$\\frac$"]
    assert shown[7] == "y" * 31 + "…"
    matplotlib.pyplot.close("all")


def test_missing_glyphs_are_boxes_and_a_hint(caplog, recwarn) -> None:
    missing = "\U00012000"
    with caplog.at_level("WARNING"):
        ax = _drawn(["a", f"b{missing}"], ["c"])
    assert _names(ax.get_xticklabels()) == ["a", "b□"]
    assert "apt install fonts-noto-cjk" in caplog.text and missing in caplog.text
    assert not [w for w in recwarn if "missing from" in str(w.message)]
    matplotlib.pyplot.close("all")


def test_any_installed_font_will_do(monkeypatch) -> None:
    """Beyond the known names: whichever font has the character."""
    plots._coverage.cache_clear()
    monkeypatch.setattr(plots, "FONTS", ("DejaVu Sans Mono",))
    assert fonts_for("a") == (["DejaVu Sans Mono"], "")
    families, missing = fonts_for("aﬀ𝔸")  # DejaVu Sans has the last one, its Mono does not
    assert missing == "" and len(families) == 2
    plots._coverage.cache_clear()


@slow_where_compiled
def test_texts_without_a_font_are_drawn_all_the_same(model, tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(plots, "_coverage", lambda text: (["DejaVu Sans"], text[:1]))
    attention_figure(model, ["abc"], tmp_path / "attention.png")
    assert (tmp_path / "attention.png").is_file()
    assert "no installed font" in caplog.text
