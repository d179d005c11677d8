"""Generates whole documents: sentence by sentence, with all else of the document as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from keras_s2s.config.nearest import did_you_mean, either
from keras_s2s.documents.blocks import Block, SourceSentence, source_sentences
from keras_s2s.documents.html_document import html_blocks
from keras_s2s.documents.plain_text import text_blocks
from keras_s2s.documents.rendering import rendered
from keras_s2s.documents.sentences import sentence_language
from keras_s2s.documents.subtitles import subtitle_blocks
from keras_s2s.documents.translation import Translation, Translator
from keras_s2s.samplers.checks import whole
from keras_s2s.text.tokenizer import check_texts

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM

DocumentFormat = Literal["text", "html", "srt", "vtt"]

_READERS: dict[str, Callable[[str], list[Block]]] = {
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
    """

    text: str
    sentences: list[GeneratedSentence] = field(repr=False)
    format: DocumentFormat = "text"

    def __str__(self) -> str:
        """Returns the text."""
        return self.text


def generate_document(
    model: Seq2SeqLM,
    document: str,
    format: DocumentFormat = "text",
    *,
    src_lang: str | None = None,
    tgt_lang: str | None = None,
    batch_size: int = 32,
    max_source_length: int | None = None,
    **generation_options: Any,
) -> GeneratedDocument:
    """Generates a target for each sentence of a document, and puts them in their places.

    All sentences are generated in one call of `generate`. White space, line breaks, markup, times
    of subtitles and everything else between them are those of the source. A sentence that is longer
    than the model can read is split at a clause, at a space, or else between characters; no part of
    a document is ever left out.

    Args:
        model: a model with a preprocessor, whose sources are texts.
        document: the text of the document.
        format: "text", where a sentence ends at the end of its line; "html", a page or a fragment;
            "srt" or "vtt", subtitles.
        src_lang, tgt_lang: languages of a multilingual model, as in `Seq2SeqLM.generate`. How
            sentences are found follows `src_lang`, too; the default is the model's own, else
            English. For a model of one language it may be any code, such as "de".
        batch_size: sources decoded at a time; results do not depend on it.
        max_source_length: most ids that the model reads at once, special ids counted; None is the
            number of its positions, if it has one.
        **generation_options: as in `Seq2SeqLM.generate`: `sampler`, `num_beams`, `max_length`, ...

    Returns:
        a `GeneratedDocument`: the text, and for each sentence what it was generated from. Sentences
        that were split, cut off at `max_length`, or for which nothing was generated are marked in
        it, and logged as a warning.

    Raises:
        ValueError: an unknown format; a model without a preprocessor; an option with a value that
            it does not take, or one that asks for more than one text.
        TypeError: `document` is not a text.
        ImportError: sentencex is not installed (`pip install "keras_s2s[documents]"`).

    Example:
        >>> result = s2s.generate_document(model, "ein Hund. der Hund.\\n\\neine Katze.")
        >>> len(result.sentences), result.text.count("\\n")
        (3, 2)
        >>> page = "<p>der <b>schwarze</b> Hund</p>"
        >>> s2s.generate_document(model, page, format="html").text
        '<p>the <b>black</b> dog</p>'
    """
    _check(model, document, format, generation_options)
    batch_size = whole("batch_size", batch_size)
    if max_source_length is not None:
        max_source_length = whole("max_source_length", max_source_length)
    languages = model.preprocessor.special_ids.languages  # type: ignore[union-attr]
    reads_language = languages is not None and languages.source != "none"
    translator = Translator(
        model,
        src_lang if reads_language else None,
        tgt_lang,
        batch_size,
        max_source_length,
        generation_options,
    )
    # A byte order mark is no part of the first sentence.
    readable = " " + document[1:] if document.startswith(_BOM) else document
    language = sentence_language(src_lang, model.preprocessor)
    sentences = [
        sentence
        for block in _READERS[format](readable)
        for sentence in source_sentences(block, language)
    ]
    kept = [sentence.kept_spans for sentence in sentences]
    translations = translator.translate([sentence.text for sentence in sentences], kept)
    marked = [
        i
        for i, sentence in enumerate(sentences)
        if sentence.marks
        and translations[i].text != sentence.text
        and len(translations[i].text) * len(sentence.text) <= LARGEST_ALIGNMENT
    ]
    weights = dict(
        zip(
            marked,
            translator.weights([translations[i] for i in marked], [kept[i] for i in marked]),
            strict=True,
        )
    )
    texts = [
        rendered(document, sentence, translation.text, weights.get(i))
        for i, (sentence, translation) in enumerate(zip(sentences, translations, strict=True))
    ]
    return _put_together(document, format, sentences, translations, texts)


def _put_together(
    document: str,
    format: DocumentFormat,
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
    return GeneratedDocument("".join(written), found, format)


def _check(model: Any, document: Any, format: str, options: dict[str, Any]) -> None:
    """Raises an error for arguments that cannot be used."""
    if not isinstance(document, str):
        raise TypeError(
            f"document is a {type(document).__name__}, expected a str; decode bytes, or read the "
            "file, first"
        )
    check_texts([document])
    if format not in _READERS:
        hint = did_you_mean(str(format), _READERS)
        expected = either(_READERS)
        raise ValueError(f"format={format!r} is unknown; {hint} Expected {expected}")
    if model.preprocessor is None:
        raise ValueError(
            "the model has no preprocessor, so it cannot read a document; give it one: "
            "model.preprocessor = ..."
        )
    for name in ("return_output", "output_attentions"):
        if options.get(name):
            raise ValueError(f"{name} is for `generate`; a document's result has `sentences`")
    count = options.get("num_return_sequences")
    if count not in (None, 1):
        raise ValueError(
            f"num_return_sequences={count!r}: a document has one text for each sentence; leave it "
            "out"
        )
