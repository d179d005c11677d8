"""Draws attention heatmaps and learning curves with matplotlib (`keras_s2s[plot]`)."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_s2s.analysis.alignment import attended_ids
from keras_s2s.text.visible import named

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM

logger = logging.getLogger(__name__)

#: Tried in this order for each character; DejaVu Sans comes with matplotlib. Chinese, Japanese and
#: Korean: Debian's packages first, then what other systems bring along.
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK KR",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans KR",
    "Noto Sans JP",
    "Noto Sans SC",
    "NanumGothic",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "IPAexGothic",
    "IPAGothic",
    "Droid Sans Fallback",
    "Malgun Gothic",
    "Yu Gothic",
    "Microsoft YaHei",
    "Apple SD Gothic Neo",
    "Hiragino Sans",
    "PingFang SC",
    "Noto Sans Devanagari",
    "Noto Sans",
    "Arial Unicode MS",
)

#: Inches; what is longer is drawn smaller, and not every token is named.
MOST_WIDTH, MOST_HEIGHT = 24.0, 18.0

#: Most letters of a token's name that are shown.
MOST_LETTERS = 32

# Inches of a token's row or column, and of a letter of its name.
_TOKEN, _LETTER = 0.3, 0.09


def plot_attention(
    model: Seq2SeqLM,
    source: str,
    target: str | None = None,
    *,
    src_lang: str | None = None,
    tgt_lang: str | None = None,
    path: str | Path | None = None,
    ax: Any = None,
    **generation_options: Any,
) -> Any:
    """Draws how much each target token attends to each source token.

    Args:
        model: a `Seq2SeqLM` with attention and a preprocessor.
        source: a source text.
        target: a target text; None takes what the model generates.
        src_lang, tgt_lang: languages of a multilingual model; by default the model's own.
        path: write the picture there, too.
        ax: matplotlib axes to draw on; None makes a figure.
        **generation_options: to `generate`, where `target` is None; `overlong` in any case.

    Returns:
        the matplotlib axes.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the model has no attention or no preprocessor, or a text is too long.

    Characters that no installed font has are drawn as boxes; a log message says what to install.
    """
    source_tokens, target_tokens, weights = attention_of(
        model, source, target, src_lang=src_lang, tgt_lang=tgt_lang, **generation_options
    )
    import matplotlib.pyplot as plt

    if ax is None:
        size = _figure_size(source_tokens, target_tokens)
        _, ax = plt.subplots(figsize=size, layout="constrained")
    draw_attention(ax, source_tokens, target_tokens, weights)
    if path is not None:
        ax.figure.savefig(path, dpi=150)
    return ax


def attention_of(
    model: Seq2SeqLM, source: str, target: str | None = None, **options: Any
) -> tuple[list[str], list[str], np.ndarray]:
    """Returns source tokens (S), target tokens (T) and the attention between them, `[T, S]`.

    Args:
        model, source, target, options: as in `alignment.attended_ids`.
    """
    source_ids, target_ids, attention = attended_ids(model, source, target, **options)
    text = model.preprocessor
    assert text is not None
    return text.source_tokens(source_ids), text.target_tokens(target_ids), attention


def draw_attention(
    ax: Any, source_tokens: Sequence[str], target_tokens: Sequence[str], weights: np.ndarray
) -> None:
    """Draws a heatmap `[T, S]`: source from left to right, target from top to bottom.

    The colours go from 0 to the largest weight, not to 1: the mean over a Transformer's heads is
    small everywhere.
    """
    sources, targets = list(map(_label, source_tokens)), list(map(_label, target_tokens))
    fonts, missing = fonts_for("".join(sources + targets))
    if missing:
        boxes = str.maketrans(dict.fromkeys(missing, "\N{WHITE SQUARE}"))
        sources = [token.translate(boxes) for token in sources]
        targets = [token.translate(boxes) for token in targets]
    largest = float(np.max(weights, initial=0.0)) or 1.0
    image = ax.imshow(weights, cmap="viridis", vmin=0.0, vmax=largest, aspect="auto")
    figure = ax.figure
    width, height = figure.get_size_inches()
    box = ax.get_position()
    # As many names as fit in one line of type each.
    every_source = _stride(len(sources), width * box.width)
    every_target = _stride(len(targets), height * box.height)
    ax.set_xticks(range(0, len(sources), every_source), sources[::every_source])
    ax.set_yticks(range(0, len(targets), every_target), targets[::every_target])
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    # Names of several letters would overlap side by side; single characters are not rotated.
    for label, token in zip(ax.get_xticklabels(), sources[::every_source], strict=True):
        label.set_rotation(90 if len(token) > 2 else 0)
    for label in (*ax.get_xticklabels(), *ax.get_yticklabels()):
        label.set_fontfamily(fonts)
        label.set_parse_math(False)  # `$` is a token like any other
    ax.set_xlabel("source", loc="center")
    ax.set_ylabel("target", loc="center")
    ax.xaxis.set_label_position("top")
    figure.colorbar(image, ax=ax, label="attention", fraction=0.04, pad=0.02)


def _label(token: str) -> str:
    text = named(token)
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def _figure_size(sources: Sequence[str], targets: Sequence[str]) -> tuple[float, float]:
    """Returns the size of a figure in inches, with room for the tokens and their names."""
    beside, above = (max(len(_label(token)) for token in side) for side in (targets, sources))
    return (
        min(MOST_WIDTH, 1.8 + _LETTER * beside + _TOKEN * len(sources)),
        min(MOST_HEIGHT, 1.0 + _LETTER * above + _TOKEN * len(targets)),
    )


def _stride(tokens: int, inches: float) -> int:
    """Returns n such that every n-th token is named without names covering each other."""
    return max(1, -(-tokens * 4 // max(1, round(inches * 4 / 0.16))))


def plot_learning_curve(history: Mapping[str, Sequence[float]], path: str | Path) -> None:
    """Draws losses (left) and the other values (right) by epoch.

    Args:
        history: `History.history` of `fit`.
        path: where the picture goes.
    """
    import matplotlib.pyplot as plt

    losses = {name: values for name, values in history.items() if name.endswith("loss")}
    shares = {
        name: values
        for name, values in history.items()
        if name.endswith(
            ("accuracy", "bleu", "chrf", "rouge1", "rouge2", "rougeL", "exact_match", "f1")
        )
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


def fonts_for(text: str) -> tuple[list[str], str]:
    """Returns font families for a text, and the characters that no installed font has.

    Missing characters are logged, with the package to install.
    """
    families, missing = _coverage("".join(sorted(set(text))))
    if missing:
        import matplotlib

        logger.warning(
            "no installed font has %s; they are drawn as boxes. For Chinese, Japanese and Korean "
            "install Noto Sans CJK (Debian, Ubuntu: apt install fonts-noto-cjk), remove "
            "fontlist-*.json in %s, and start Python anew",
            missing if len(missing) <= 20 else f"{missing[:20]}... ({len(missing)} characters)",
            matplotlib.get_cachedir(),
        )
    return families, missing


def installed_fonts() -> list[str]:
    """Returns those of `FONTS` that matplotlib finds; a character is drawn with the first that has
    it.
    """
    from matplotlib import font_manager

    names = {font.name for font in font_manager.fontManager.ttflist}
    return [name for name in FONTS if name in names]


def can_draw(text: str) -> bool:
    """Returns whether the installed fonts have every character of `text`."""
    return not _coverage("".join(sorted(set(text))))[1]


@functools.cache
def _coverage(characters: str) -> tuple[list[str], str]:
    """Returns font families for some characters, those of `FONTS` first, and the characters in
    none.
    """
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    preferred = installed_fonts()
    manager = font_manager.fontManager
    others = sorted(
        {font.name: font.fname for font in manager.ttflist if font.name not in preferred}.items()
    )
    paths = [(name, font_manager.findfont(name)) for name in preferred]
    families, missing = preferred[:1], [c for c in characters if c.isprintable()]
    for name, path in (*paths, *others):
        if not missing:
            break
        # It has a glyph for everything: a box with the name of the script.
        if "lastresort" in name.lower().replace(" ", ""):
            continue
        font = FT2Font(path)
        left = [c for c in missing if not font.get_char_index(ord(c))]
        if len(left) < len(missing) and name not in families:
            families = [*families, name]
        missing = left
    return families, "".join(missing)


def attention_figure(
    model: Seq2SeqLM, sources: Sequence[str], path: str | Path, most: int = 4, **options: Any
) -> None:
    """Draws the attention of up to `most` sources, preferring those that the installed fonts can
    write.

    Args:
        model: a `Seq2SeqLM` with attention and a preprocessor.
        sources: source texts, in order of preference.
        path: where the picture goes.
        most: how many are drawn.
        **options: languages and the like, as in `plot_attention`.
    """
    import matplotlib.pyplot as plt

    chosen = ([source for source in sources if can_draw(source)] or list(sources))[:most]
    if not chosen:
        return
    parts = [attention_of(model, source, **options) for source in chosen]
    sizes = [_figure_size(source, target) for source, target, _ in parts]
    width, height = (max(inches) for inches in zip(*sizes, strict=True))
    columns = 2 if len(parts) > 1 and width <= MOST_WIDTH / 2 else 1
    rows = -(-len(parts) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(columns * width, rows * min(height, 2 * MOST_HEIGHT / rows)),
        layout="constrained",
        squeeze=False,
    )
    for ax in axes.flat[len(parts) :]:
        ax.axis("off")
    for ax, part in zip(axes.flat, parts, strict=False):
        draw_attention(ax, *part)
    figure.savefig(path, dpi=130)
    plt.close(figure)
