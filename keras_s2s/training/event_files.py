"""Writes texts and pictures into the event files that TensorBoard shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


class EventFile:
    """An event file of TensorBoard, made when something is first written into it.

    It needs TensorFlow, whichever the backend, but not the package `tensorboard`, which
    TensorFlow's own `summary.text` and `summary.image` ask for.

    Args:
        directory: where the file goes.

    Raises:
        ImportError: TensorFlow is not installed.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._summary = _tensorflow_summary()
        self._writer: Any = None

    def texts(self, tag: str, rows: Sequence[Sequence[str]], step: int) -> None:
        """Writes a table of Markdown texts; the first row is its header."""
        self._write(tag, np.array(rows), step, "text")

    def pictures(self, tag: str, pngs: Sequence[bytes], size: tuple[int, int], step: int) -> None:
        """Writes pictures of one size, as PNG files hold them.

        Args:
            tag: their name.
            pngs: contents of PNG files.
            size: width and height in pixels.
            step: that they belong to.
        """
        import tensorflow as tf

        values = tf.constant([*(str(length).encode() for length in size), *pngs])
        self._write(tag, values, step, "images")

    def close(self) -> None:
        """Closes the file; what is written later goes into another one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, tag: str, values: Any, step: int, plugin: str) -> None:
        from tensorflow.compat.v1 import SummaryMetadata

        data_class = {"text": "DATA_CLASS_TENSOR", "images": "DATA_CLASS_BLOB_SEQUENCE"}[plugin]
        metadata = SummaryMetadata(data_class=data_class)
        metadata.plugin_data.plugin_name = plugin
        if self._writer is None:
            self._writer = self._summary.create_file_writer(str(self.directory))
        with self._writer.as_default():
            self._summary.write(tag, values, step=step, metadata=metadata)
        self._writer.flush()


def _tensorflow_summary() -> Any:
    try:
        import tensorflow.summary as summary
    except ImportError:
        raise ImportError(
            "files of TensorBoard are written with TensorFlow, as keras.callbacks.TensorBoard "
            "does; pip install tensorflow"
        ) from None
    return summary
