"""ByT5's tokenizer in TensorFlow ops."""

from __future__ import annotations

from typing import Any

from keras_s2s.export.in_graph.added_tokens import InGraphPythonTokenizer
from keras_s2s.export.in_graph.tables import Surfaces
from keras_s2s.export.in_graph.text_ops import valid_utf8
from keras_s2s.text.pretrained.byt5 import ByT5Tokenizer


class InGraphByT5Tokenizer(InGraphPythonTokenizer):
    """`ByT5Tokenizer` in TensorFlow ops."""

    def __init__(self, tokenizer: ByT5Tokenizer) -> None:
        super().__init__(tokenizer)
        self._ids = [tokenizer.token_id(chr(byte)) for byte in range(256)]
        added = tokenizer.added.ids
        self._surfaces = Surfaces(
            [
                token.encode() if token in added or not token else bytes([ord(token)])
                for token in self.tokens
            ]
        )

    def _encode_text(self, texts: Any, begins: Any) -> Any:
        import tensorflow as tf

        flat = tf.io.decode_raw(tf.strings.reduce_join(texts), tf.uint8)
        ids = tf.gather(tf.constant(self._ids, tf.int32), tf.cast(flat, tf.int32))
        lengths = tf.cast(tf.strings.length(texts), tf.int64)
        return tf.RaggedTensor.from_row_lengths(ids, lengths)

    def _join(self, ids: Any) -> Any:
        return valid_utf8(self._surfaces.join(ids), errors="ignore")
