"""Generated texts in TensorBoard, while a model trains."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_s2s.text.data_frames import pairs_of
from keras_s2s.text_metrics.corpus_metrics import first_hypotheses
from keras_s2s.training.event_files import EventFile

#: What Markdown, which TensorBoard takes texts for, would not show as it is.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()>#+\-.!|])")


class SampleTexts(keras.callbacks.Callback):
    """Writes a table of sources, generated texts and targets for TensorBoard after each epoch.

    It stands under "Text", beside the values that `keras.callbacks.TensorBoard` writes. As that
    callback, it needs TensorFlow, on every backend.

    Args:
        pairs: (source, target) texts, a few.
        log_dir: of TensorBoard, as `keras.callbacks.TensorBoard` has it.
        every: write after each `every`-th epoch.
        **generation_options: to `generate`, such as `num_beams=4` or `tgt_lang="fr"`.

    Raises:
        ValueError: no pairs, or `every` below 1.
        ImportError: TensorFlow is not installed.

    Example:
        >>> samples = s2s.callbacks.SampleTexts(pairs[:5], "logs", max_length=20)
        >>> model.fit(batches, epochs=2, callbacks=[samples])
    """

    def __init__(
        self,
        pairs: Sequence[tuple[str, str]],
        log_dir: str | Path = "logs",
        *,
        every: int = 1,
        **generation_options: Any,
    ) -> None:
        super().__init__()
        self.pairs = list(pairs_of(pairs))
        if not self.pairs:
            raise ValueError("SampleTexts needs at least one pair (source, target)")
        if every < 1:
            raise ValueError(f"every={every} must be at least 1")
        if generation_options.get("return_output"):
            raise ValueError("SampleTexts writes texts; drop return_output=True")
        self.log_dir = Path(log_dir)
        self.every = every
        self.generation_options = generation_options
        self._file = EventFile(self.log_dir / "validation")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.every:
            return
        sources = [source for source, _ in self.pairs]
        found = first_hypotheses(self.model.generate(sources, **self.generation_options))
        rows = [
            ["**source**", "**generated**", "**target**"],
            *(
                [as_markdown(text) for text in (source, hypothesis, target)]
                for (source, target), hypothesis in zip(self.pairs, found, strict=True)
            ),
        ]
        self._file.texts("samples", rows, epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._file.close()


def as_markdown(text: str) -> str:
    """Returns Markdown that shows a text as it is, in one line."""
    return _MARKDOWN.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))
