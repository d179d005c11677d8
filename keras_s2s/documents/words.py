"""Words of a text, for placing markup around them: of letters, or single characters."""

from __future__ import annotations

import unicodedata

from keras_s2s.documents.splitting.sentences import Span

#: First and last characters of scripts that are written without spaces, or nearly so.
_WITHOUT_SPACES = (
    ("\u0e00", "\u0eff"),  # Thai, Lao
    ("\u0f00", "\u109f"),  # Tibetan, Burmese
    ("\u1780", "\u17ff"),  # Khmer
    ("\u3005", "\u30ff"),  # Japanese
    ("\u3400", "\u9fff"),  # Han
    ("\uf900", "\ufaff"),
    ("\U00020000", "\U0003ffff"),
)
#: Stand inside of words.
_INSIDE = frozenset("'’-_\u200c\u200d")


def word_spans(text: str) -> list[Span]:
    """Returns the words of a text: runs of letters and digits, and every other character alone.

    Characters of scripts without spaces are words of their own, with the marks that follow them.

    Example:
        >>> [text[start:end] for text in ["L'eau, 水色."] for start, end in word_spans(text)]
        ["L'eau", ',', '水', '色', '.']
    """
    spans: list[Span] = []
    start = None
    for i, character in enumerate(text):
        if character.isspace():
            if start is not None:
                spans.append(Span(start, i))
            start = None
        elif unicodedata.category(character).startswith("M"):
            if start is None and spans and spans[-1].end == i:
                spans[-1] = Span(spans[-1].start, i + 1)
            elif start is None:
                start = i
        elif character.isalnum() and not stands_alone(character):
            start = i if start is None else start
        elif start is not None and character in _INSIDE and text[i + 1 : i + 2].isalnum():
            continue
        else:
            if start is not None:
                spans.append(Span(start, i))
            start = None
            spans.append(Span(i, i + 1))
    if start is not None:
        spans.append(Span(start, len(text)))
    return spans


def stands_alone(character: str) -> bool:
    """Returns whether a character is of a script that is written without spaces."""
    return any(first <= character <= last for first, last in _WITHOUT_SPACES)
