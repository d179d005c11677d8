"""Character tokenizers in TensorFlow ops."""

from __future__ import annotations

from typing import Any

from keras_s2s.export.in_graph.base import InGraphTokenizer
from keras_s2s.export.in_graph.normalization import check_normalizer, normalize
from keras_s2s.text.special_tokens import UNKNOWN_SURFACE
from keras_s2s.text.trained.character import CharacterTokenizer


class InGraphCharacterTokenizer(InGraphTokenizer):
    """`CharacterTokenizer` in TensorFlow ops; code points are found by binary search."""

    def __init__(self, tokenizer: CharacterTokenizer) -> None:
        super().__init__(tokenizer)
        self.normalizer = tokenizer.normalizer
        self.unk = tokenizer.vocabulary.unk_id
        known = sorted((ord(t), i) for t, i in tokenizer.vocabulary.ids.items() if len(t) == 1)
        self.code_points = [code_point for code_point, _ in known]
        self.ids = [i for _, i in known]
        self.surfaces = list(tokenizer.vocabulary.tokens)
        self.surfaces[self.unk] = UNKNOWN_SURFACE
        for i in tokenizer.extra_ids:
            self.surfaces[i] = ""

    @staticmethod
    def check(tokenizer: CharacterTokenizer) -> None:
        check_normalizer(tokenizer.kind, tokenizer.normalizer)

    def encode(self, texts: Any) -> Any:
        import tensorflow as tf

        # A code point above all others, so that a search always ends inside the table.
        keys = tf.constant([*self.code_points, 0x110000], tf.int32)
        values = tf.constant([*self.ids, self.unk], tf.int32)
        points = tf.strings.unicode_decode(normalize(texts, self.normalizer), "UTF-8")
        flat = points.flat_values
        places = tf.searchsorted(keys, flat)
        found = tf.equal(tf.gather(keys, places), flat)
        return points.with_flat_values(tf.where(found, tf.gather(values, places), self.unk))

    def decode(self, ids: Any) -> Any:
        import tensorflow as tf

        surfaces = tf.constant(self.surfaces)
        return tf.strings.reduce_join(tf.gather(surfaces, ids), axis=-1)
