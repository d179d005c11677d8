"""Byte tokenizers in TensorFlow ops."""

from __future__ import annotations

from typing import Any

from keras_s2s.export.in_graph.base import InGraphTokenizer
from keras_s2s.export.in_graph.normalization import check_normalizer, normalize
from keras_s2s.export.in_graph.text_ops import valid_utf8
from keras_s2s.text.special_tokens import UNKNOWN_SURFACE
from keras_s2s.text.trained.byte import ByteTokenizer


class InGraphByteTokenizer(InGraphTokenizer):
    """`ByteTokenizer` in TensorFlow ops."""

    def __init__(self, tokenizer: ByteTokenizer) -> None:
        super().__init__(tokenizer)
        self.normalizer = tokenizer.normalizer
        self.offset = tokenizer.offset
        unknown = tokenizer.unk_id
        self.surfaces = [
            UNKNOWN_SURFACE.encode() if i == unknown else b"" for i in range(self.offset)
        ] + [bytes([byte]) for byte in range(256)]
        self.surfaces += [b""] * len(tokenizer.extra)

    @staticmethod
    def check(tokenizer: ByteTokenizer) -> None:
        check_normalizer(tokenizer.kind, tokenizer.normalizer)

    def encode(self, texts: Any) -> Any:
        import tensorflow as tf

        texts = normalize(texts, self.normalizer)
        flat = tf.io.decode_raw(tf.strings.reduce_join(texts), tf.uint8)
        lengths = tf.strings.length(texts, unit="BYTE")
        return tf.RaggedTensor.from_row_lengths(
            tf.cast(flat, tf.int32) + self.offset, tf.cast(lengths, tf.int64)
        )

    def decode(self, ids: Any) -> Any:
        import tensorflow as tf

        joined = tf.strings.reduce_join(tf.gather(tf.constant(self.surfaces), ids), axis=-1)
        return valid_utf8(joined)
