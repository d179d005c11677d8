"""A document, read as parts that a model generates a text for, and put together from these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keras_s2s.documents.formats.blocks import Block, SourceSentence, source_sentences
from keras_s2s.documents.formats.html_document import html_blocks
from keras_s2s.documents.formats.plain_text import text_blocks
from keras_s2s.documents.formats.subtitles import subtitle_blocks
from keras_s2s.documents.rendering import rendered
from keras_s2s.documents.results import (
    DocumentFormat,
    GeneratedDocument,
    GeneratedSentence,
    MarkupPlacement,
)
from keras_s2s.documents.sentence_model import SentenceModel
from keras_s2s.documents.splitting.sentences import Span
from keras_s2s.documents.translation import (
    GeneratedPart,
    Translation,
    report,
    spans_of_parts,
    translations_of,
    weights_of_words,
)

READERS: dict[str, Callable[[str], list[Block]]] = {
    "text": text_blocks,
    "html": html_blocks,
    "srt": lambda document: subtitle_blocks(document, "srt"),
    "vtt": lambda document: subtitle_blocks(document, "vtt"),
}
_BOM = "\ufeff"

#: Most pairs of a source and a target character of a sentence whose words are aligned: what is
#: larger is no sentence, and would take memory and time without bounds.
LARGEST_ALIGNMENT = 4_000_000


@dataclass(frozen=True)
class ReadDocument:
    """A document that was read.

    Attributes:
        document: its text.
        format: of it.
        sentences: in order.
        spans: for each sentence, those of the parts that the model reads at once; one where it is
            not split.
    """

    document: str
    format: DocumentFormat
    sentences: list[SourceSentence]
    spans: list[list[Span]]

    @property
    def parts(self) -> list[str]:
        """The texts that are generated from, in order: sentences, or parts of long ones."""
        return [
            sentence.text[start:end]
            for sentence, own in zip(self.sentences, self.spans, strict=True)
            for start, end in own
        ]

    def written(self, parts: Sequence[GeneratedPart], model: SentenceModel) -> GeneratedDocument:
        """Returns the result, and logs what a reader of it should look at.

        Args:
            parts: what was generated for each of `parts`.
            model: that generated them, for the words that inline markup goes with.
        """
        sentences, document = self.sentences, self.document
        translations = translations_of([s.text for s in sentences], self.spans, parts)
        report(translations, model.limit)
        marked = [
            i
            for i, sentence in enumerate(sentences)
            if sentence.marks
            and translations[i].text != sentence.text
            and len(translations[i].text) * len(sentence.text) <= LARGEST_ALIGNMENT
        ]
        weights, attended = weights_of_words(
            model, [translations[i] for i in marked], [sentences[i].kept_spans for i in marked]
        )
        own = dict(zip(marked, weights, strict=True))
        texts = [
            rendered(document, sentence, translation.text, own.get(i))
            for i, (sentence, translation) in enumerate(zip(sentences, translations, strict=True))
        ]
        markup: MarkupPlacement | None = None
        if marked:
            markup = "attention" if attended else "proportion"
        return _put_together(document, self.format, markup, sentences, translations, texts)


def read_document(document: str, format: DocumentFormat, model: SentenceModel) -> ReadDocument:
    """Finds the sentences of a document, and splits those that are too long for a model.

    Args:
        document: the text.
        format: of it.
        model: that generates for its parts.

    Raises:
        ValueError: a character alone is too long for the model.
        ImportError: sentencex is not installed.
    """
    # A byte order mark is no part of the first sentence.
    readable = " " + document[1:] if document.startswith(_BOM) else document
    sentences = [
        sentence
        for block in READERS[format](readable)
        for sentence in source_sentences(block, model.language)
    ]
    spans = spans_of_parts(model, [s.text for s in sentences], [s.kept_spans for s in sentences])
    return ReadDocument(document, format, sentences, spans)


def _put_together(
    document: str,
    format: DocumentFormat,
    markup: MarkupPlacement | None,
    sentences: list[SourceSentence],
    translations: list[Translation],
    texts: list[str],
) -> GeneratedDocument:
    """Returns the document with texts in the places of its sentences."""
    written: list[str] = []
    found = []
    length = at = 0
    for sentence, translation, text in zip(sentences, translations, texts, strict=True):
        between = document[at : sentence.start]
        written += [between, text]
        start = length + len(between)
        length = start + len(text)
        at = sentence.end
        found.append(
            GeneratedSentence(
                source=sentence.text,
                text=translation.text,
                source_start=sentence.start,
                source_end=sentence.end,
                start=start,
                end=length,
                was_split=len(translation.parts) > 1,
                parts=tuple(part.source for part in translation.parts),
                unfinished=any(part.unfinished for part in translation.parts),
                is_source=any(part.empty for part in translation.parts),
            )
        )
    written.append(document[at:])
    return GeneratedDocument("".join(written), found, format, markup)
