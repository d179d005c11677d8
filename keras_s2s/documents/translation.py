"""Generates the sentences of a document: in one call, with those that are too long in parts."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_s2s.decoding.requests.planning import end_ids, stop_strings
from keras_s2s.documents.sentence_model import SentenceModel
from keras_s2s.documents.splitting.clauses import ends_clause, fitting_spans
from keras_s2s.documents.splitting.sentences import Span
from keras_s2s.documents.word_weights import (
    WordWeights,
    proportional_weights,
    with_kept_words,
)
from keras_s2s.documents.words import stands_alone, word_spans

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """A part of a sentence that the model reads at once, and what it generated for it.

    Attributes:
        span: of the part in its sentence.
        source: the part's text.
        text: the generated text; the source where the model wrote nothing.
        start: of the generated text within that of its sentence.
        empty: the model wrote nothing.
        unfinished: the model came to its longest target before the end.
    """

    span: Span
    source: str
    text: str
    start: int
    empty: bool
    unfinished: bool


@dataclass(frozen=True)
class Translation:
    """The generated text of a sentence, and the parts that it is made of."""

    source: str
    text: str
    parts: list[Part]


class GeneratedPart(NamedTuple):
    """What a model generated for a part.

    Attributes:
        text: without white space around it; empty where the model generated nothing.
        unfinished: the model came to its longest target before the end.
    """

    text: str
    unfinished: bool

    @classmethod
    def of_result(
        cls, text: str, ids: Sequence[int], ends: Collection[int], stops: Collection[str] = ()
    ) -> GeneratedPart:
        """Returns that of a result of a model.

        Args:
            text: of the result.
            ids: of the result, without padding.
            ends: with one of which finished ones end; empty where that is not known.
            stops: strings that end one, too.
        """
        ended = not ends or (len(ids) > 0 and int(ids[-1]) in ends)
        ended = ended or any(stop in text for stop in stops)
        # As it is where it is a text of one line, which all sources are.
        return cls(text.strip(), not ended)


def spans_of_parts(
    model: SentenceModel, texts: Sequence[str], kept: Sequence[Sequence[Span]] | None = None
) -> list[list[Span]]:
    """Returns for each text the spans of its parts that a model can read.

    Args:
        model: that reads them.
        texts: the sentences; none is blank.
        kept: for each, spans that are not split where that can be avoided.
    """
    limit = model.limit

    def fits(parts: list[str]) -> list[bool]:
        if limit is None:
            return [True] * len(parts)
        return [length <= limit for length in model.source_lengths(parts)]

    return fitting_spans(texts, fits, kept)


def generated_parts(
    model: Seq2SeqLM, texts: Sequence[str], options: Mapping[str, Any]
) -> list[GeneratedPart]:
    """Generates a text for each part of a document, in one call of `generate`.

    Args:
        model: a model with a preprocessor.
        texts: of the parts.
        options: of `generate`.
    """
    if not texts:
        return []
    options = {name: value for name, value in options.items() if value is not None}
    if isinstance(options.get("decoder_prefix"), str):
        options["decoder_prefix"] = [options["decoder_prefix"]] * len(texts)
    output = model.generate(list(texts), return_output=True, **options)
    ends, stops = end_ids(model.preset, options), stop_strings(model.preset, options)
    found = []
    for i, text in enumerate(output.texts or ()):
        # Of several texts the first, which is the best one.
        at = (i,) if isinstance(text, str) else (i, 0)
        ids = output.token_ids[at][: int(output.lengths[at])]
        best = text if isinstance(text, str) else text[0]
        found.append(GeneratedPart.of_result(best, ids, ends, stops))
    return found


def translations_of(
    texts: Sequence[str], spans: Sequence[Sequence[Span]], parts: Sequence[GeneratedPart]
) -> list[Translation]:
    """Returns the generated text of each sentence.

    Args:
        texts: the sentences.
        spans: of the parts of each.
        parts: what was generated for each part, in order.
    """
    results, at = [], 0
    for text, found in zip(texts, spans, strict=True):
        own = parts[at : at + len(found)]
        at += len(found)
        results.append(
            joined_parts(text, found, [p.text for p in own], [p.unfinished for p in own])
        )
    return results


def report(translations: Sequence[Translation], limit: int | None) -> None:
    """Logs what a reader of the result should look at.

    Args:
        translations: of all sentences.
        limit: most ids of a source.
    """
    split = [each.source for each in translations if len(each.parts) > 1]
    if split:
        logger.warning(
            "%d of %d sentences have more than %d ids, which is the longest source, and were "
            "split; the first is %r",
            len(split),
            len(translations),
            limit,
            _short(split[0]),
        )
    parts = [part for each in translations for part in each.parts]
    for problem, found in (
        (
            "were cut off at max_length, before the model had ended them; pass a larger "
            "max_length or max_new_tokens",
            [part for part in parts if part.unfinished],
        ),
        (
            "are as in the source, since the model generated nothing for them",
            [part for part in parts if part.empty],
        ),
    ):
        if found:
            logger.warning(
                "%d of %d generated sentences %s; the first is that of %r",
                len(found),
                len(parts),
                problem,
                _short(found[0].source),
            )


# --------------------------------------------------------------------------------------
# Words
# --------------------------------------------------------------------------------------


def weights_of_words(
    model: SentenceModel, translations: Sequence[Translation], kept: Sequence[Sequence[Span]]
) -> tuple[list[WordWeights], bool]:
    """Returns for each sentence how much its generated words stand for source characters.

    Args:
        model: that generated them.
        translations: those with markup.
        kept: for each, the spans that stay as they are.

    Returns:
        the weights, and whether they are attention; otherwise they are in proportion.
    """
    parts = [part for translation in translations for part in translation.parts]
    attended = model.word_weights([part.source for part in parts], [part.text for part in parts])
    found = attended or [proportional_weights(part.source, part.text) for part in parts]
    results, at = [], 0
    for translation, spans in zip(translations, kept, strict=True):
        own = found[at : at + len(translation.parts)]
        at += len(own)
        whole = _of_sentence(translation, own)
        results.append(with_kept_words(whole, translation.source, translation.text, spans))
    return results, attended is not None


def _of_sentence(translation: Translation, weights: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the weights of a sentence, from those of its parts."""
    words = word_spans(translation.text)
    whole = np.zeros((len(words), len(translation.source)))
    for part, own in zip(translation.parts, weights, strict=True):
        # Words are the same alone, but for those that a join without space has made one.
        for i, word in enumerate(word_spans(part.text)):
            at = part.start + word.start
            row = next((k for k, (start, end) in enumerate(words) if start <= at < end), None)
            if row is not None:
                whole[row, part.span.start : part.span.end] += own[i]
    return whole


def joined_parts(
    source: str, spans: Sequence[Span], generated: Sequence[str], unfinished: Sequence[bool]
) -> Translation:
    """Returns the text of a sentence, from those of its parts.

    Args:
        source: the sentence.
        spans: of its parts.
        generated: a text for each part; empty ones are replaced by their source.
        unfinished: whether each part was cut off.
    """
    text = ""
    parts: list[Part] = []
    for i, (span, own, cut) in enumerate(zip(spans, generated, unfinished, strict=True)):
        before = source[span.start : span.end]
        written = own if own == before else " ".join((own or before).splitlines())
        if i:
            text += _between(source, spans[i - 1], span, parts[-1], written, before)
        parts.append(Part(span, before, written, len(text), not own, cut))
        text += written
    return Translation(source, text, parts)


def _between(source: str, last: Span, span: Span, previous: Part, written: str, before: str) -> str:
    """Returns what stands between the texts of two parts."""
    between = source[last.end : span.start]
    unchanged = previous.text == previous.source and written == before
    if between or unchanged or not ends_clause(source[last.end - 1]):
        return between
    # A script without spaces into one with spaces.
    alone = stands_alone(previous.text[-1]) or stands_alone(written[0])
    return "" if alone or not written[0].isalnum() else " "


def _short(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[:length] + "..."
