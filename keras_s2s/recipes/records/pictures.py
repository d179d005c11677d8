"""Draws the pictures of a run: learning curves, and the attention of sample texts."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_s2s.config import ConditionalConfig, StackConfig
from keras_s2s.recipes.records.run_folder import ATTENTION_FILE, CURVE_FILE

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM


def can_draw() -> bool:
    """Returns whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def draw(
    model: Seq2SeqLM, history: Any, texts: list[str], directory: Path, **generation_options: Any
) -> list[Path]:
    """Draws learning curves and attention pictures, and returns the files written."""
    from keras_s2s.analysis.plots import attention_figure, plot_learning_curve

    pictures = [directory / CURVE_FILE]
    plot_learning_curve(history, pictures[0])
    if texts and attends(model):
        pictures.append(directory / ATTENTION_FILE)
        attention_figure(model, texts, pictures[1], **generation_options)
    return pictures


def attends(model: Seq2SeqLM) -> bool:
    """Returns whether a model has attention that can be drawn."""
    decoder = model.preset.architecture.decoder
    always = isinstance(decoder, StackConfig | ConditionalConfig)
    return always or getattr(decoder, "attention", None) is not None
