"""Keeps a transposed copy of a tied token table for the output projection of a decoding loop.

XLA and TensorFlow multiply few rows with a matrix `[D, V]` up to three times as fast as with the
transpose of a table `[V, D]`. The copy is made once, and again when the table has changed.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.layers.kernels.operations import Kernels, with_bias
from keras_s2s.typing import Tensor


class TransposedTable(Kernels):
    """Kernels that use a transposed copy of the tied token table; see `holding`.

    Args:
        table: the table, or None where there is none to transpose.
    """

    def __init__(self, table: keras.layers.ReversibleEmbedding | None) -> None:
        plain = (
            table is not None
            and table.tie_weights
            and table.logit_soft_cap is None
            and getattr(table, "quantization_mode", None) is None
            and not table.lora_enabled
            and table.compute_dtype == table.variable_dtype
        )
        self.table = table if plain else None
        self._source: Any = None
        self._checksum: Any = None
        self._transposed: Any = None
        self._held: Any = None

    def refresh(self) -> None:
        """Copies the table again if it has changed."""
        if self.table is None:
            return
        if keras.backend.backend() == "jax":
            # An array never changes: it is replaced by a new one.
            source = self.table.embeddings.value
            if source is not self._source:
                self._source, self._transposed = source, ops.transpose(source) + 0
            return
        import tensorflow as tf

        source = self.table.embeddings.value
        bits = tf.bitcast(source, tf.int32 if source.dtype.size == 4 else tf.int16)
        # Rows that change places, and signs that change together, change the sum of each row;
        # columns that change places, and the least change of one weight, the bits of a column.
        sums = (
            tf.reduce_sum(tf.cast(source, tf.float32), axis=1),
            tf.reduce_sum(tf.cast(bits, tf.int32), axis=0),
        )
        checksum = tuple(part.numpy().tobytes() for part in sums)
        if self._transposed is None:
            self._transposed = tf.Variable(tf.transpose(source), trainable=False)
        elif checksum != self._checksum:
            self._transposed.assign(tf.transpose(source))
        self._checksum = checksum

    @property
    def tensor(self) -> Tensor:
        """The transposed table `[D, V]`; None where there is none."""
        if self.table is not None and self._transposed is None:
            self.refresh()
        return self._transposed

    def holding(self, tensor: Tensor) -> Kernels:
        """Returns kernels that use `tensor` for `self.tensor`, inside a program."""
        if tensor is None:
            return Kernels()
        held = TransposedTable(self.table)
        held._held = tensor
        return held

    def logits(self, table: keras.layers.ReversibleEmbedding, x: Tensor, bias: Tensor) -> Tensor:
        if table is not self.table or self._held is None:
            return super().logits(table, x, bias)
        return with_bias(ops.matmul(x, self._held), bias)
