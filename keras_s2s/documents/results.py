"""The result of a document: its text, and what each sentence of it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

DocumentFormat = Literal["text", "html", "srt", "vtt"]
MarkupPlacement = Literal["attention", "proportion"]


@dataclass(frozen=True)
class GeneratedSentence:
    """A sentence of a result, and the source sentence that it was generated from.

    Attributes:
        source: the source sentence as the model read it: without markup.
        text: the generated one, without markup.
        source_start, source_end: characters of the source document, markup included.
        start, end: characters of the result, markup included.
        was_split: it was longer than the model can read, and was generated in parts.
        parts: the parts of the source that the model read; one where it was not split.
        unfinished: the model came to `max_length` before it had ended; the text is cut off.
        is_source: the model generated nothing for the sentence, or for a part of it, and the
            source stands there.
    """

    source: str
    text: str
    source_start: int
    source_end: int
    start: int
    end: int
    was_split: bool = False
    parts: tuple[str, ...] = ()
    unfinished: bool = False
    is_source: bool = False


@dataclass(frozen=True)
class GeneratedDocument:
    """The result of `generate_document`; `str()` of it is the text.

    Attributes:
        text: the document, with generated sentences in the places of its own.
        sentences: the sentences, in order. What has no letter or digit is not among them, and
            stays as it was.
        format: of source and result.
        markup: how inline markup found its words: "attention" of the model, or "proportion", as far
            along in a sentence as it was, where the model does not show its attention; None where
            there was none to place.
    """

    text: str
    sentences: list[GeneratedSentence] = field(repr=False)
    format: DocumentFormat = "text"
    markup: MarkupPlacement | None = None

    def __str__(self) -> str:
        """Returns the text."""
        return self.text
