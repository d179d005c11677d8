"""Attention heatmaps in TensorBoard, while a model trains."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras

from keras_s2s.analysis.plots import attention_of, draw_attention
from keras_s2s.training.event_files import EventFile

#: Inches and dots of an inch: pictures of an epoch have one size.
_SIZE, _DPI = (7.0, 6.0), 100


class AttentionPictures(keras.callbacks.Callback):
    """Writes heatmaps of the attention between sources and their generated texts for TensorBoard
    after each epoch.

    They stand under "Images", beside the values that `keras.callbacks.TensorBoard` writes. As that
    callback, it needs TensorFlow, on every backend, and matplotlib.

    Args:
        sources: source texts, a few.
        log_dir: of TensorBoard, as `keras.callbacks.TensorBoard` has it.
        every: draw after each `every`-th epoch.
        **options: languages, and what `generate` takes, as for `plot_attention`.

    Raises:
        ValueError: no sources, or `every` below 1.
        ImportError: TensorFlow or matplotlib is not installed.

    Example:
        >>> pictures = s2s.callbacks.AttentionPictures(["ein Hund"], "logs", max_length=20)
        >>> model.fit(batches, epochs=2, callbacks=[pictures])
    """

    def __init__(
        self,
        sources: Sequence[str],
        log_dir: str | Path = "logs",
        *,
        every: int = 1,
        **options: Any,
    ) -> None:
        super().__init__()
        self.sources = [sources] if isinstance(sources, str) else list(sources)
        if not self.sources:
            raise ValueError("AttentionPictures needs at least one source")
        if every < 1:
            raise ValueError(f"every={every} must be at least 1")
        if find_spec("matplotlib") is None:
            raise ImportError(
                "AttentionPictures draws with matplotlib; pip install matplotlib (keras_s2s[plot])"
            )
        self.every = every
        self.options = options
        self._file = EventFile(Path(log_dir) / "validation")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.every:
            return
        for number, source in enumerate(self.sources):
            png = _heatmap(*attention_of(self.model, source, **self.options))
            width, height = (round(inches * _DPI) for inches in _SIZE)
            self._file.pictures(f"attention/{number}", [png], (width, height), epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._file.close()


def _heatmap(sources: Sequence[str], targets: Sequence[str], weights: Any) -> bytes:
    """Returns a PNG file with the attention `[T, S]`."""
    # Not pyplot, which would open a window where there is a screen.
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    draw_attention(figure.add_subplot(), sources, targets, weights)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DPI)
    return content.getvalue()
