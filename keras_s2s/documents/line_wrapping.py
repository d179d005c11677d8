"""Breaks a subtitle into lines of about the same length."""

from __future__ import annotations

from collections.abc import Sequence

from keras_s2s.documents.splitting.sentences import Span
from keras_s2s.documents.words import word_spans

#: Does not begin a line.
_CLOSING = frozenset("、。，．：；！？）」』】〉》’”…ー)]}.,;:!?%")


def line_breaks(text: str, most_lines: int, width: int) -> list[Span]:
    """Returns where a text is broken: spans that a line break takes the place of.

    There are as few lines as fit into `width`, or else `most_lines` of about the same length.

    Args:
        text: without line breaks.
        most_lines: the largest number of lines.
        width: characters of a line that need no break.

    Returns:
        spans of white space, or empty ones between characters of a text without spaces.

    Example:
        >>> line_breaks("The dog sleeps in the snow.", 2, 20)
        [Span(start=14, end=15)]
    """
    parts = _parts(text)
    if most_lines < 2 or len(parts) < 2:
        return []
    lines = min(most_lines, len(_filled(parts, width)))
    narrow, wide = max(part.end - part.start for part in parts), len(text)
    while narrow < wide:
        middle = (narrow + wide) // 2
        if len(_filled(parts, middle)) <= lines:
            wide = middle
        else:
            narrow = middle + 1
    firsts = _filled(parts, wide)[1:]
    return [Span(parts[first - 1].end, parts[first].start) for first in firsts]


def _parts(text: str) -> list[Span]:
    """Returns the spans that are not broken: words between spaces, or else single characters."""
    if len(text.split()) < 2:
        parts: list[Span] = []
        for span in word_spans(text):
            if parts and text[span.start] in _CLOSING:
                parts[-1] = Span(parts[-1].start, span.end)
            else:
                parts.append(span)
        return parts
    parts, start = [], None
    for i, character in enumerate(text + " "):
        if character.isspace():
            if start is not None:
                parts.append(Span(start, i))
            start = None
        elif start is None:
            start = i
    return parts


def _filled(parts: Sequence[Span], width: int) -> list[int]:
    """Returns the number of the first part of each line, with lines filled one by one."""
    firsts = [0]
    for i, part in enumerate(parts):
        if i > firsts[-1] and part.end - parts[firsts[-1]].start > width:
            firsts.append(i)
    return firsts
