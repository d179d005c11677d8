"""Pictures: attention heatmaps and learning curves. They need matplotlib (`keras_s2s[plot]`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_s2s.alignment import attended_ids

#: Tried in this order for each character; DejaVu Sans comes with matplotlib.
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK KR",
    "Noto Sans CJK JP",
    "Noto Sans KR",
    "NanumGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "Noto Sans Devanagari",
    "Noto Sans",
    "Arial Unicode MS",
)


def plot_attention(
    model: Any,
    source: str,
    target: str | None = None,
    *,
    path: str | Path | None = None,
    ax: Any = None,
    **generation_options: Any,
) -> Any:
    """Draw which source tokens each target token looked at.

    Args:
        model: a `Seq2SeqLM` with attention and a preprocessor.
        source: a source text.
        target: a target text; None takes the model's own answer.
        path: write the picture there, too.
        ax: matplotlib axes to draw on; None makes a figure.
        **generation_options: to `generate`, where `target` is None.

    Returns:
        the matplotlib axes.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the model has no attention or no preprocessor.
    """
    source_tokens, target_tokens, weights = attention_of(
        model, source, target, **generation_options
    )
    import matplotlib.pyplot as plt

    with plt.rc_context({"font.family": installed_fonts()}):
        if ax is None:
            size = (2.0 + 0.32 * len(source_tokens), 1.6 + 0.32 * len(target_tokens))
            _, ax = plt.subplots(figsize=size, layout="constrained")
        draw_attention(ax, source_tokens, target_tokens, weights)
        if path is not None:
            ax.figure.savefig(path, dpi=150)
    return ax


def attention_of(
    model: Any, source: str, target: str | None = None, **generation_options: Any
) -> tuple[list[str], list[str], np.ndarray]:
    """Source tokens (S), target tokens (T) and the attention between them, `[T, S]`."""
    source_ids, target_ids, attention = attended_ids(model, source, target, **generation_options)
    text = model.preprocessor
    return text.source_tokens(source_ids), text.target_tokens(target_ids), attention


def draw_attention(
    ax: Any, source_tokens: Sequence[str], target_tokens: Sequence[str], weights: np.ndarray
) -> None:
    """A heatmap `[T, S]`: source from left to right, target from top to bottom."""
    image = ax.imshow(weights, cmap="viridis", vmin=0.0, vmax=1.0, aspect="auto")
    ax.set_xticks(range(len(source_tokens)), source_tokens)
    ax.set_yticks(range(len(target_tokens)), target_tokens)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    # Pieces of a few letters would run into each other side by side; characters need no turn.
    for label, token in zip(ax.get_xticklabels(), source_tokens, strict=True):
        label.set_rotation(90 if len(token) > 2 else 0)
    ax.set_xlabel("source", loc="left")
    ax.set_ylabel("target", loc="top")
    ax.xaxis.set_label_position("bottom")
    ax.figure.colorbar(image, ax=ax, label="attention", fraction=0.04, pad=0.02)


def plot_learning_curve(history: Mapping[str, Sequence[float]], path: str | Path) -> None:
    """Draw losses (left) and the other values (right) by epoch.

    Args:
        history: `History.history` of `fit`.
        path: where the picture goes.
    """
    import matplotlib.pyplot as plt

    losses = {name: values for name, values in history.items() if name.endswith("loss")}
    shares = {
        name: values
        for name, values in history.items()
        if name.endswith(("accuracy", "bleu", "chrf", "rouge1", "rouge2", "rougeL", "exact_match"))
    }
    panels: list[tuple[Mapping[str, Sequence[float]], str]] = [(losses, "loss (nats per token)")]
    if shares:
        scaled = {
            name: [100 * v for v in values] if name.endswith("accuracy") else list(values)
            for name, values in shares.items()
        }
        panels.append((scaled, "per cent"))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(5.2 * len(panels), 3.6), layout="constrained", squeeze=False
    )
    for ax, (series, label) in zip(axes[0], panels, strict=True):
        for name, values in series.items():
            ax.plot(range(1, len(values) + 1), values, marker="o", markersize=3, label=name)
        ax.set_xlabel("epoch")
        ax.set_ylabel(label)
        # One tick is enough: asked for two, matplotlib would cut a single epoch into parts.
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        ax.grid(alpha=0.3)
        ax.legend()
    every = [value for values in losses.values() for value in values]
    if every and 0 < 20 * min(every) < max(every):
        axes[0][0].set_yscale("log")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def installed_fonts() -> list[str]:
    """Those of `FONTS` that matplotlib finds; a character is taken from the first that has it."""
    from matplotlib import font_manager

    names = {font.name for font in font_manager.fontManager.ttflist}
    return [name for name in FONTS if name in names]


def can_draw(text: str) -> bool:
    """Whether the installed fonts have every character of `text`."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    fonts = [FT2Font(font_manager.findfont(name)) for name in installed_fonts()]
    return all(any(font.get_char_index(ord(char)) for font in fonts) for char in text)


def attention_figure(model: Any, sources: Sequence[str], path: str | Path, most: int = 4) -> None:
    """Draw the attention of up to `most` sources that the installed fonts can write.

    Args:
        model: a `Seq2SeqLM` with attention and a preprocessor.
        sources: source texts, in order of preference.
        path: where the picture goes.
        most: how many are drawn.
    """
    import matplotlib.pyplot as plt

    chosen = [source for source in sources if can_draw(source)][:most]
    if not chosen:
        return
    parts = [attention_of(model, source) for source in chosen]
    with plt.rc_context({"font.family": installed_fonts(), "font.size": 11}):
        widest = max(len(tokens) for tokens, _, _ in parts)
        tallest = max(len(tokens) for _, tokens, _ in parts)
        columns = 2 if len(parts) > 1 and widest <= 40 else 1
        rows = -(-len(parts) // columns)
        figure, axes = plt.subplots(
            rows,
            columns,
            figsize=(columns * (2.0 + 0.27 * widest), rows * (1.6 + 0.30 * tallest)),
            layout="constrained",
            squeeze=False,
        )
        for ax in axes.flat[len(parts) :]:
            ax.axis("off")
        for ax, part in zip(axes.flat, parts, strict=False):
            draw_attention(ax, *part)
        figure.savefig(path, dpi=130)
        plt.close(figure)
