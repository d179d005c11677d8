"""Blenderbot-small's tokenizer in TensorFlow ops."""

from __future__ import annotations

from typing import Any

from keras_s2s.export.in_graph.added_tokens import InGraphPythonTokenizer
from keras_s2s.export.in_graph.byte_pairs import BytePairMerges
from keras_s2s.export.in_graph.normalization import lowercase
from keras_s2s.export.in_graph.text_ops import (
    CUT,
    WHITE_SPACE,
    cut,
    mark,
    merge_rows,
    strip,
)
from keras_s2s.text.pretrained.blenderbot_small import (
    CONTINUED,
    WORD_END,
    BlenderbotSmallTokenizer,
)

#: Symbol of a character that no merge and no token has.
_OTHER = 0


class InGraphBlenderbotSmallTokenizer(InGraphPythonTokenizer):
    """`BlenderbotSmallTokenizer` in TensorFlow ops."""

    def __init__(self, tokenizer: BlenderbotSmallTokenizer) -> None:
        super().__init__(tokenizer)
        merges = [pair for pair in tokenizer.ranks if len(pair) == 2]
        symbols = {symbol for pair in merges for symbol in (*pair, "".join(pair))}
        bare = {token.removesuffix(CONTINUED) for token in tokenizer.known_tokens}
        characters = {c for c in bare if len(c) == 1} | {
            s.removesuffix(WORD_END) for s in symbols if len(s.removesuffix(WORD_END)) == 1
        }
        symbols |= characters | {c + WORD_END for c in characters}
        number = {symbol: i for i, symbol in enumerate(sorted(symbols), _OTHER + 1)}
        self._merges = BytePairMerges(
            {(number[a], number[b]): (tokenizer.ranks[a, b], number[a + b]) for a, b in merges},
            at_once=True,
        )
        self._points = sorted(map(ord, characters))
        self._inside = [number[chr(point)] for point in self._points]
        self._last = [number[chr(point) + WORD_END] for point in self._points]
        pieces = [
            s.removesuffix(WORD_END) if s.endswith(WORD_END) else s + CONTINUED for s in number
        ]
        unknown = tokenizer.token_id("\uffff\uffff")
        self._ids = [unknown, *map(tokenizer.token_id, pieces)]

    def _encode_text(self, texts: Any, begins: Any) -> Any:
        import tensorflow as tf

        # A word, and the line end behind it.
        texts = mark(texts, f"([^{WHITE_SPACE}]+\n?)", rb"\1" + CUT)
        words = cut(texts)
        flat = tf.strings.regex_replace(words.flat_values, f"^[{WHITE_SPACE}]+", "")
        for pattern, rewrite in (
            (r"([.,!?()])", r" \1"),
            ("'", " ' "),
            (f"[{WHITE_SPACE}]{{2,}}", " "),
            ("\n", " __newln__"),
        ):
            flat = tf.strings.regex_replace(flat, pattern, rewrite)
        parts = merge_rows(words, cut(mark(flat, " ", CUT)))
        return merge_rows(parts, self._merged(lowercase(parts.flat_values)))

    def _merged(self, words: Any) -> Any:
        import tensorflow as tf

        keys = tf.constant([*self._points, 0x110000], tf.int32)
        inside, last = (
            tf.constant([*table, _OTHER], tf.int32) for table in (self._inside, self._last)
        )
        points = tf.strings.unicode_decode(words, "UTF-8")
        flat = points.flat_values
        places = tf.searchsorted(keys, flat)
        lengths = tf.cast(points.row_lengths(), tf.int32)
        left = tf.reverse(tf.ragged.range(lengths), [1]).flat_values
        symbols = tf.where(tf.equal(left, 0), tf.gather(last, places), tf.gather(inside, places))
        known = tf.equal(tf.gather(keys, places), flat)
        merged = self._merges(points.with_flat_values(tf.where(known, symbols, _OTHER)))
        return tf.gather(tf.constant(self._ids, tf.int32), merged)

    def _join(self, ids: Any) -> Any:
        import tensorflow as tf

        tokens = tf.gather(tf.constant(self.tokens), ids)
        joined = tf.strings.reduce_join(tokens, axis=-1, separator=" ")
        return strip(tf.strings.regex_replace(joined, f"{CONTINUED} ", ""))
