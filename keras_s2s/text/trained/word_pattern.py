"""The regular expression that splits text into words, numbers, symbols and punctuation.

Its character classes are written out as literal ranges, so that Python's `re` and RE2
(TensorFlow's graph operations) read one and the same string.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Callable

# What `str.split()` splits at.
WHITESPACE = "\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# Written without spaces between words, so that each character stands alone, as in BERT.
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
# Zero-width non-joiner and joiner: inside Persian and Indic words, and inside emoji.
JOINERS = "\u200c\u200d"
EMOJI_MODIFIERS = "\U0001f3fb-\U0001f3ff"
REGIONAL_INDICATORS = "\U0001f1e6-\U0001f1ff"

# The planes with letters, marks, numbers and symbols; the others are empty or private.
_PLANES = (range(0x40000), range(0xE0000, 0xE1000))


@functools.cache
def token_pattern() -> str:
    """Returns the pattern of one token; valid for `re` and for RE2.

    The alternatives: a Han character; a run of letters, digits, marks and underscores
    (apostrophes between them included, as in `don't`); an emoji with its modifiers and
    joined parts, or a flag; any other character that is not white space.
    """
    han = re.compile(f"[{HAN}]")
    mark = _ranges(lambda c, category: category[0] == "M")
    word = _ranges(lambda c, category: (category[0] in "LNM" and not han.match(c)) or c == "_")
    # U+FFED is the joiner mark of the word tokenizer and must stay a token of its own.
    symbol = _ranges(lambda c, category: category == "So" and c != "\uffed")
    one = f"[{symbol}][{mark}{EMOJI_MODIFIERS}]*"
    return (
        f"[{HAN}][{mark}]*"
        f"|[{word}{JOINERS}]+(?:['’][{word}{JOINERS}]+)*"
        f"|[{REGIONAL_INDICATORS}][{REGIONAL_INDICATORS}]"
        f"|{one}(?:\u200d{one})*"
        f"|[^{WHITESPACE}]"
    )


@functools.cache
def compiled_token_pattern() -> re.Pattern[str]:
    """Returns `token_pattern`, compiled for Python's `re`."""
    return re.compile(token_pattern())


def _ranges(belongs: Callable[[str, str], bool]) -> str:
    """Returns the ranges of a character class: every code point of some categories."""
    parts: list[str] = []
    first = last = -1
    for code in itertools.chain(*_PLANES):
        character = chr(code)
        if not belongs(character, unicodedata.category(character)):
            continue
        if code != last + 1 or first < 0:
            if first >= 0:
                parts.append(_range(first, last))
            first = code
        last = code
    return "".join([*parts, _range(first, last)])


def _range(first: int, last: int) -> str:
    return chr(first) if first == last else f"{chr(first)}-{chr(last)}"
