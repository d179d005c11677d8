"""Word tokenizers in TensorFlow ops."""

from __future__ import annotations

from typing import Any

from keras_s2s.export.in_graph.base import InGraphTokenizer
from keras_s2s.export.in_graph.normalization import check_normalizer, normalize
from keras_s2s.export.in_graph.tables import Surfaces, id_table
from keras_s2s.export.in_graph.text_ops import CUT, cut, mark
from keras_s2s.text.special_tokens import UNKNOWN_SURFACE
from keras_s2s.text.trained.word import JOINER, WordTokenizer
from keras_s2s.text.trained.word_pattern import WHITESPACE, token_pattern


class InGraphWordTokenizer(InGraphTokenizer):
    """`WordTokenizer` in TensorFlow ops: its regular expression is one of RE2, too."""

    def __init__(self, tokenizer: WordTokenizer) -> None:
        super().__init__(tokenizer)
        vocabulary = tokenizer.vocabulary
        self.normalizer = tokenizer.normalizer
        self.table = id_table(vocabulary.ids, vocabulary.unk_id)
        self.resources = [self.table]
        tokens = list(vocabulary.tokens)
        tokens[vocabulary.unk_id] = UNKNOWN_SURFACE
        # A mark alone is the character itself, from the text.
        joined = [token.startswith(JOINER) and token != JOINER for token in tokens]
        bare = [t.removeprefix(JOINER) if j else t for t, j in zip(tokens, joined, strict=True)]
        rest = [t if j else f" {t}" for t, j in zip(bare, joined, strict=True)]
        self.surfaces = Surfaces(*([t.encode() for t in table] for table in (rest, bare)))

    @staticmethod
    def check(tokenizer: WordTokenizer) -> None:
        check_normalizer(tokenizer.kind, tokenizer.normalizer)

    def encode(self, texts: Any) -> Any:
        import tensorflow as tf

        # A cut behind each token: white space before the next one is then in front of it.
        parts = cut(mark(normalize(texts, self.normalizer), f"({token_pattern()})", rb"\1" + CUT))
        first = tf.equal(tf.ragged.range(parts.row_lengths()).flat_values, 0)
        flat = parts.flat_values
        words = tf.strings.regex_replace(flat, f"^[{WHITESPACE}]+", "")
        apart = first | tf.not_equal(tf.strings.length(words), tf.strings.length(flat))
        words = tf.where(apart, words, tf.strings.join([tf.constant(JOINER), words]))
        # White space at the end of a text is a part, too, but no token.
        ids = parts.with_flat_values(self.table.lookup(words))
        return tf.ragged.boolean_mask(ids, parts.with_flat_values(tf.not_equal(words, "")))

    def decode(self, ids: Any) -> Any:
        return self.surfaces.join(ids)
