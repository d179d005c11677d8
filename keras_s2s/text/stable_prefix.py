"""Finds the part of a growing text that no later ids change.

The end of a text may still change for two reasons: bytes may be a part of a character (U+FFFD so
far), and rules of writing remove spaces that something follows: `do n't` becomes `don't`.
"""

from __future__ import annotations

from collections.abc import Callable

#: What bytes are decoded to that are no character, or not yet.
HALF = "\ufffd"

#: Characters that are not spaces and may decide on a space before them. The rules of `tidy_spaces`
#: and `wordpiece.detokenize` look two ahead (`n't` at a space), one more where they overlap; one to
#: spare.
AHEAD = 4


def settled_spaces(text: str, clean: Callable[[str], str]) -> str:
    """Returns the beginning of `clean(text + more)` that is the same for any `more`.

    Args:
        text: text before spaces are removed, as far as it is known.
        clean: removes spaces, none of which depends on more than `AHEAD` characters after it.

    Example:
        >>> from keras_s2s.text.pretrained.base import tidy_spaces
        >>> settled_spaces("we do n", tidy_spaces)
        'we'
        >>> settled_spaces("we do nothing", tidy_spaces)
        'we do nothing'
    """
    sure = len(text) - text.count(" ") - AHEAD
    end = 0
    while sure > 0:
        sure -= text[end] != " "
        end += 1
    # What follows without a space is certain as well: there is nothing to remove.
    space = text.find(" ", end)
    end = len(text) if space < 0 else space
    return _up_to(clean(text), end - text.count(" ", 0, end))


def _up_to(text: str, count: int) -> str:
    """Returns the beginning of `text` that ends with its `count`-th non-space character."""
    end = 0
    while count:
        count -= text[end] != " "
        end += 1
    return text[:end]
