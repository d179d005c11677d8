"""Operations on strings that several tokenizers share.

A place where a text is cut is marked by the byte 0xFF, which no UTF-8 text holds: a replacement by
a regular expression puts marks in, and a split at this byte takes them out. RE2 matches no
character class with it, so that a pattern applied later does not reach over a mark.
"""

from __future__ import annotations

import re
from typing import Any

from keras_s2s.text.pretrained.base import SPACED

#: What a cut is marked with; see above.
CUT = b"\xff"

#: The property White_Space of Unicode, for a character class. Python's `str.isspace` also holds
#: for the four separators U+001C to U+001F.
WHITE_SPACE = "\t-\r\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
PYTHON_SPACE = WHITE_SPACE + "\x1c-\x1f"


def valid_utf8(texts: Any, errors: str = "replace") -> Any:
    """Replaces each broken UTF-8 sequence in `texts`, strings of any shape, by U+FFFD.

    Args:
        texts: strings.
        errors: "ignore" leaves broken sequences out.
    """
    import tensorflow as tf

    return tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors=errors)


def strip(texts: Any, white_space: str = PYTHON_SPACE) -> Any:
    """Removes white space at both ends of string `texts`.

    Args:
        texts: strings of any shape.
        white_space: content of a character class.
    """
    import tensorflow as tf

    return tf.strings.regex_replace(texts, f"^[{white_space}]+|[{white_space}]+$", "")


def mark(texts: Any, pattern: str, rewrite: bytes) -> Any:
    """Rewrites every match of `pattern` in `texts`; `rewrite` may hold cuts and groups."""
    import tensorflow as tf

    return tf.strings.regex_replace(texts, pattern, rewrite)


def cut(texts: Any) -> Any:
    """Splits string `texts [B]` at their cuts into ragged `[B, P]`, empty parts left out."""
    import tensorflow as tf

    parts = tf.strings.split(texts, CUT)
    return tf.ragged.boolean_mask(parts, tf.not_equal(parts, ""))


def merge_rows(outer: Any, inner: Any) -> Any:
    """Puts ragged `inner [P, L]` in place of the values of ragged `outer [B, P]`: `[B, L]`."""
    return outer.with_flat_values(inner).merge_dims(1, 2)


def tidy_spaces(texts: Any) -> Any:
    """Removes the spaces before English punctuation and clitics, as `text.pretrained` does."""
    import tensorflow as tf

    for spaced in SPACED:
        pattern = re.sub(r"([.?])", r"\\\1", spaced)
        texts = tf.strings.regex_replace(texts, pattern, spaced.strip())
    return texts


def import_tensorflow_text(needed_by: str) -> Any:
    """Imports `tensorflow_text` and returns it.

    Raises:
        ImportError: it is not installed; the message says what to install.
    """
    try:
        import tensorflow_text
    except ImportError as error:
        raise ImportError(
            f"exporting {needed_by} needs tensorflow-text, of the same version as tensorflow: "
            'pip install "keras-s2s[tensorflow]"'
        ) from error
    return tensorflow_text
