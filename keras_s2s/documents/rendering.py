"""Writes a generated sentence as its document has it: markup, entities and line breaks."""

from __future__ import annotations

import html
from collections.abc import Sequence

from keras_s2s.documents.formats.blocks import Mark, SourceSentence
from keras_s2s.documents.line_wrapping import line_breaks
from keras_s2s.documents.placement import Placed, place_marks
from keras_s2s.documents.splitting.sentences import Span
from keras_s2s.documents.word_weights import WordWeights
from keras_s2s.documents.words import word_spans


def rendered(
    document: str, sentence: SourceSentence, text: str, weights: WordWeights | None
) -> str:
    """Returns what takes the place of a sentence in its document.

    A sentence that the model did not change is written exactly as it was.

    Args:
        document: the source.
        sentence: the sentence.
        text: the generated one, without line breaks.
        weights: how much each of its words stands for each character of the sentence, for placing
            markup; without them it stays as far along as it was.
    """
    if text == sentence.text:
        return document[sentence.start : sentence.end]
    placed: list[Placed] = []
    if sentence.marks:
        first = sentence.span.start
        marks = [m._replace(offset=m.offset - first, end=m.end - first) for m in sentence.marks]
        placed = place_marks(marks, sentence.text, *(weights or (word_spans(text), None)))
    escapes = _escapes(document, sentence)
    parts: list[str] = []
    breaks = _breaks(document, sentence, text)
    at = 0
    for start, end, written in _merged(document, text, placed, breaks):
        parts += [escapes.get(character, character) for character in text[at:start]]
        parts.append(written)
        at = max(at, end)
    parts += [escapes.get(character, character) for character in text[at:]]
    return "".join(parts)


def _merged(
    document: str, text: str, placed: Sequence[Placed], breaks: Sequence[tuple[Span, str]]
) -> list[tuple[int, int, str]]:
    """Returns markup and line breaks in the order in which they are written."""
    found = []
    waiting = list(breaks)
    for start, end, mark in placed:
        # Tags that end at a break stand before it, those that begin after it behind.
        while waiting and (waiting[0][0].end < start or waiting[0][0].end == start != 0):
            if waiting[0][0].start == waiting[0][0].end == start and mark.kind == "close":
                break
            span, written = waiting.pop(0)
            found.append((span.start, span.end, written))
        written = document[mark.start_in_source : mark.end_in_source]
        if mark.kind == "kept" and start == end:
            # No word of the generated sentence stands for it: it is a word more.
            before, after = text[:start][-1:], text[start : start + 1]
            written = " " * bool(before.strip()) + written + " " * bool(after.strip())
        elif mark.kind == "point" and _stands_between_spaces(document, mark):
            written = f"{written} " if text[start : start + 1].strip() else f" {written}"
        found.append((start, end, written))
    found += [(span.start, span.end, written) for span, written in waiting]
    return found


def _stands_between_spaces(document: str, mark: Mark) -> bool:
    """Returns whether there is a space before and behind it, of which the text has one."""
    before, after = document[mark.start_in_source - 1], document[mark.end_in_source]
    return before.isspace() and after.isspace()


def _breaks(document: str, sentence: SourceSentence, text: str) -> list[tuple[Span, str]]:
    """Returns the line breaks of a generated sentence: no more than the sentence has."""
    block, (first, last) = sentence.block, sentence.span
    if not block.wraps:
        return []
    lines, written, start = [0], "", first
    for i in range(first, last):
        raw = document[block.starts[i] : block.ends[i]]
        if "\n" in raw or "\r" in raw:
            lines[-1] = len(block.text[start:i].strip())
            lines.append(0)
            written, start = written or raw, i
    lines[-1] = len(block.text[start:last].strip())
    return [(span, written) for span in line_breaks(text, len(lines), max(lines))]


def _escapes(document: str, sentence: SourceSentence) -> dict[str, str]:
    """Returns how characters are written: with the entities of the sentence, where it has some."""
    block, (first, last) = sentence.block, sentence.span
    escapes = dict(block.escapes)
    if not escapes:
        return escapes
    plain = set()
    spelled: dict[str, str] = {}
    for i in range(first, last):
        raw = document[block.starts[i] : block.ends[i]]
        if raw == block.text[i]:
            plain.add(raw)
        elif html.unescape(raw) == block.text[i]:
            spelled.setdefault(block.text[i], raw)
    return escapes | {
        character: raw
        for character, raw in spelled.items()
        if character not in plain or character in block.escapes
    }
