"""Finds special tokens that a text spells, before anything else is done with the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from keras_s2s.export.errors import ExportError
from keras_s2s.export.in_graph.tables import id_table
from keras_s2s.export.in_graph.text_ops import (
    CUT,
    PYTHON_SPACE,
    WHITE_SPACE,
    cut,
    mark,
    merge_rows,
    strip,
)


@dataclass(frozen=True)
class Found:
    """A token that is looked for in texts.

    Attributes:
        content: its text.
        id: its id.
        lstrip: white space before it belongs to it.
        rstrip: white space after it belongs to it.
    """

    content: str
    id: int
    lstrip: bool = False
    rstrip: bool = False


class SpecialTokens:
    """Splits texts at special tokens, the longest first where several begin.

    Args:
        tokens: what is looked for.
        python: white space next to a token is Python's, not Unicode's.
    """

    def __init__(self, tokens: Sequence[Found], *, python: bool = False) -> None:
        self.resources: list[Any] = []
        self._white_space = PYTHON_SPACE if python else WHITE_SPACE
        tokens = sorted((t for t in tokens if t.content), key=lambda t: -len(t.content))
        self._pattern = "|".join(map(self._alternative, tokens))
        self._strips = any(token.lstrip or token.rstrip for token in tokens)
        if tokens:
            self._table = id_table({token.content: token.id for token in tokens[::-1]}, -1)
            self.resources = [self._table]

    def _alternative(self, token: Found) -> str:
        space = f"[{self._white_space}]*"
        literal = escape(token.content)
        return (space if token.lstrip else "") + literal + (space if token.rstrip else "")

    def encode(self, texts: Any, encode_text: Callable[[Any, Any], Any]) -> Any:
        """Encodes string `texts [B]` as ragged int32 `[B, L]`.

        Args:
            texts: the texts.
            encode_text: encodes string `[P]`, parts between special tokens and none of them
                empty, as ragged int32 `[P, L]`; its second argument, bool `[P]`, says which parts
                begin a text.
        """
        import tensorflow as tf

        if not self._pattern:
            return encode_text(texts, tf.ones_like(texts, tf.bool))
        parts = cut(mark(texts, f"({self._pattern})", CUT + rb"\1" + CUT))
        flat = parts.flat_values
        found = self._table.lookup(flat)
        if self._strips:
            stripped = self._table.lookup(strip(flat, self._white_space))
            found = tf.where(found >= 0, found, stripped)
        begins = tf.equal(tf.ragged.range(parts.row_lengths()).flat_values, 0)
        plain = found < 0
        rows = encode_text(tf.boolean_mask(flat, plain), tf.boolean_mask(begins, plain))
        special = tf.boolean_mask(found, ~plain)[:, None]
        both = tf.concat([rows, tf.RaggedTensor.from_tensor(special)], axis=0)
        places = tf.cast(plain, tf.int32)
        order = tf.where(
            plain,
            tf.cumsum(places) - 1,
            rows.nrows(out_type=tf.int32) + tf.cumsum(1 - places) - 1,
        )
        return merge_rows(parts, tf.gather(both, order))


def escape(text: str) -> str:
    """Returns the regular expression of RE2 that matches `text` alone."""
    # `re.escape` writes NUL and line ends in a way that RE2 has not got.
    return re.sub(r"([\\.+*?()|\[\]{}^$\-])", r"\\\1", text)


def check_single_word(kind: str, content: str, single_word: bool) -> None:
    """Refuses a token that is only found between other characters than letters.

    Raises:
        ExportError: `single_word` is set.
    """
    if single_word:
        raise ExportError(
            f"the token {content!r} of this {kind} tokenizer has single_word: true, which has no "
            "TensorFlow twin; set single_word: false in its tokenizer_config.json, or export from "
            "ids to ids with model.preprocessor = None"
        )
