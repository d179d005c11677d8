"""Tokenizers made of a given list of tokens, in TensorFlow ops."""

from __future__ import annotations

from typing import Any

from keras_s2s.export.in_graph.base import InGraphTokenizer
from keras_s2s.export.in_graph.tables import Surfaces, id_table
from keras_s2s.export.in_graph.text_ops import CUT, cut, mark
from keras_s2s.text.pretrained.token_list import GAP, SPACE_MARK, TokenListTokenizer
from keras_s2s.text.special_tokens import UNKNOWN_SURFACE


class InGraphTokenListTokenizer(InGraphTokenizer):
    """`TokenListTokenizer` in TensorFlow ops."""

    def __init__(self, tokenizer: TokenListTokenizer) -> None:
        super().__init__(tokenizer)
        unknown = tokenizer.special_ids["unk"]
        assert unknown is not None
        self.split = tokenizer.split
        self.marks_spaces = tokenizer.marks_spaces
        self.table = id_table(tokenizer.ids, unknown)
        self.resources = [self.table]
        tokens = [UNKNOWN_SURFACE if i == unknown else t for i, t in enumerate(tokenizer.tokens)]
        if self.marks_spaces:
            tokens = [token.replace(SPACE_MARK, " ") for token in tokens]
        bare = [token.encode() for token in tokens]
        spaced = [b" " + token for token in bare]
        self.surfaces = Surfaces(spaced, bare) if self.split == "space" else Surfaces(bare)

    @staticmethod
    def check(tokenizer: TokenListTokenizer) -> None:
        """Accepts every list."""

    def encode(self, texts: Any) -> Any:
        import tensorflow as tf

        if self.split == "space":
            parts = cut(mark(texts, GAP, CUT))
        else:
            if self.marks_spaces:
                texts = tf.strings.regex_replace(texts, " ", SPACE_MARK)
            parts = tf.strings.unicode_split(texts, "UTF-8")
        return parts.with_flat_values(self.table.lookup(parts.flat_values))

    def decode(self, ids: Any) -> Any:
        return self.surfaces.join(ids)
