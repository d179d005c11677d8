"""Generates whole documents: sentence by sentence, with all else of the document as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_s2s.config.nearest import did_you_mean, either
from keras_s2s.documents.read_document import READERS, read_document
from keras_s2s.documents.results import DocumentFormat, GeneratedDocument, GeneratedSentence
from keras_s2s.documents.sentence_model import KerasSentenceModel
from keras_s2s.documents.translation import generated_parts
from keras_s2s.samplers.checks import whole
from keras_s2s.text.tokenizer import check_texts

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM

__all__ = ["DocumentFormat", "GeneratedDocument", "GeneratedSentence", "generate_document"]


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
    reader = KerasSentenceModel.of(model, src_lang, tgt_lang, batch_size, max_source_length)
    read = read_document(document, format, reader)
    options = {
        **generation_options,
        "batch_size": batch_size,
        "src_lang": reader.src_lang,
        "tgt_lang": tgt_lang,
    }
    return read.written(generated_parts(model, read.parts, options), reader)


def _check(model: Any, document: Any, format: str, options: dict[str, Any]) -> None:
    """Raises an error for arguments that cannot be used."""
    if not isinstance(document, str):
        raise TypeError(
            f"document is a {type(document).__name__}, expected a str; decode bytes, or read the "
            "file, first"
        )
    check_texts([document])
    if format not in READERS:
        hint = did_you_mean(str(format), READERS)
        expected = either(READERS)
        raise ValueError(f"format={format!r} is unknown; {hint} Expected {expected}")
    if model.preprocessor is None:
        raise ValueError(
            "the model has no preprocessor, so it cannot read a document; give it one: "
            "model.preprocessor = ..."
        )
    for name in ("return_output", "output_attentions"):
        if options.get(name):
            raise ValueError(f"{name} is for `generate`; a document's result has `sentences`")
    for name in ("force_words", "force_words_ids"):
        if options.get(name) is not None:
            raise ValueError(
                f"{name} would have to stand in every sentence of the document; pass a glossary, "
                "which acts where a sentence has its terms"
            )
    count = options.get("num_return_sequences")
    if count not in (None, 1):
        raise ValueError(
            f"num_return_sequences={count!r}: a document has one text for each sentence; leave it "
            "out"
        )
