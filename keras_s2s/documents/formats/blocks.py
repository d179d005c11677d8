"""A block: text of a document that is split into sentences, and the markup inside of it.

A format reads a document as blocks. All else of the document, markup and white space between
sentences included, is never touched: the result is made of slices of the source and of sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from keras_s2s.documents.splitting.sentences import Span, has_words, sentence_spans


class Mark(NamedTuple):
    """Markup inside of a block's text.

    Attributes:
        kind: "open" and "close" of an element around text; "point", which has no text; "kept", an
            element whose text is part of a sentence and stays as it is (`code`).
        offset: number of the block's characters before it.
        end: of a kept element, the number of characters before its end; else `offset`.
        start_in_source, end_in_source: where it stands in the document.
        name: of the element.
    """

    kind: Literal["open", "close", "point", "kept"]
    offset: int
    end: int
    start_in_source: int
    end_in_source: int
    name: str = ""


@dataclass(frozen=True)
class Block:
    """Text that is split into sentences, as a reader sees it, and where it stands in a document.

    Attributes:
        text: entities are characters, a run of white space in HTML is one space.
        starts, ends: of each character, in the document.
        marks: the markup, in order.
        escapes: how characters of generated text are written.
        wraps: a line break inside of a sentence is one of its result, too (subtitles).
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]
    marks: list[Mark] = field(default_factory=list)
    escapes: Mapping[str, str] = field(default_factory=dict)
    wraps: bool = False


@dataclass(frozen=True)
class SourceSentence:
    """A sentence of a block, which one generated sentence takes the place of.

    Attributes:
        block: the block.
        span: of the sentence in the block's text.
        marks: the markup inside of the sentence.
        start, end: of the sentence in the document, its markup included.
    """

    block: Block
    span: Span
    marks: list[Mark]
    start: int
    end: int

    @property
    def text(self) -> str:
        """The sentence without markup."""
        return self.block.text[self.span.start : self.span.end]

    @property
    def kept_spans(self) -> list[Span]:
        """Spans within `text` that stay as they are."""
        first = self.span.start
        return [Span(m.offset - first, m.end - first) for m in self.marks if m.kind == "kept"]


def source_sentences(block: Block, language: str) -> list[SourceSentence]:
    """Splits a block into sentences; those without a letter or digit to translate are left out.

    Args:
        block: the block.
        language: of its text (see `sentence_language`).
    """
    # No sentence ends inside of what is kept.
    hidden = _with_kept_as(block, "x")
    spans = sentence_spans(hidden, language)
    inside = _marks_by_sentence(block.marks, spans)
    translatable = _with_kept_as(block, " ")
    found = []
    for span, marks in zip(spans, inside, strict=True):
        if has_words(translatable[span.start : span.end]):
            start = min([block.starts[span.start], *(mark.start_in_source for mark in marks)])
            end = max([block.ends[span.end - 1], *(mark.end_in_source for mark in marks)])
            found.append(SourceSentence(block, span, marks, start, end))
    return found


def _with_kept_as(block: Block, character: str) -> str:
    text = block.text
    for mark in block.marks:
        if mark.kind == "kept":
            hidden = character * (mark.end - mark.offset)
            text = text[: mark.offset] + hidden + text[mark.end :]
    return text


def _marks_by_sentence(marks: Sequence[Mark], spans: Sequence[Span]) -> list[list[Mark]]:
    """Returns the marks inside of each sentence; all others stay where they are.

    An element around a whole sentence, or several, is outside; markup at an end of a sentence is
    inside where it belongs to an element that is.
    """
    partners = _partners(marks)
    result: list[list[Mark]] = []
    at = 0
    for span in spans:
        while at < len(marks) and marks[at].offset < span.start:
            at += 1
        first = at
        while first < len(marks) and marks[first].offset == span.start:
            if _begins_inside(first, marks, partners, span):
                break
            first += 1
        last = first
        while last < len(marks) and marks[last].offset < span.end:
            last += 1
        after = last
        for i in range(last, len(marks)):
            if marks[i].offset > span.end:
                break
            partner = partners.get(i)
            if marks[i].kind == "close" and partner is not None and partner >= first:
                after = i + 1
        result.append(list(marks[first:after]))
        at = after
    return result


def _begins_inside(i: int, marks: Sequence[Mark], partners: Mapping[int, int], span: Span) -> bool:
    mark = marks[i]
    if mark.kind == "kept":
        return True
    partner = partners.get(i)
    return mark.kind == "open" and partner is not None and marks[partner].offset < span.end


def _partners(marks: Sequence[Mark]) -> dict[int, int]:
    """Returns for each opening mark the number of its closing mark, and the other way round."""
    partners: dict[int, int] = {}
    opened: list[int] = []
    for i, mark in enumerate(marks):
        if mark.kind == "open":
            opened.append(i)
        elif mark.kind == "close":
            at = next((k for k in reversed(opened) if marks[k].name == mark.name), None)
            if at is not None:
                partners[at], partners[i] = i, at
                # What was opened inside and not closed has no end.
                del opened[opened.index(at) :]
    return partners
