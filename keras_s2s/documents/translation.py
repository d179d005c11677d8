"""Generates the sentences of a document: in one call, with those that are too long in parts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_s2s.documents.clauses import ends_clause, fitting_spans
from keras_s2s.documents.sentences import Span
from keras_s2s.documents.word_weights import (
    WordWeights,
    attended_weights,
    proportional_weights,
    with_kept_words,
)
from keras_s2s.documents.words import stands_alone, word_spans

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


@dataclass(frozen=True)
class Translator:
    """Generates sentences with a model.

    Attributes:
        model: a `Seq2SeqLM` with a preprocessor.
        src_lang, tgt_lang: languages, as in `generate`.
        batch_size: sources decoded at a time.
        max_source_length: most ids of a source; None is what the model has positions for.
        options: of `generate`.
    """

    model: Any
    src_lang: str | None
    tgt_lang: str | None
    batch_size: int = 32
    max_source_length: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def translate(
        self, texts: Sequence[str], kept: Sequence[Sequence[Span]] | None = None
    ) -> list[Translation]:
        """Generates a text for each sentence, in one call of `generate`.

        Args:
            texts: the sentences; none is blank.
            kept: for each, spans that are not split where that can be avoided.
        """
        if not texts:
            return []
        spans = self.spans(texts, kept)
        parts = [texts[i][start:end] for i, found in enumerate(spans) for start, end in found]
        generated, unfinished = self._generate(parts)
        self._report(texts, spans, generated, unfinished)
        results, at = [], 0
        for text, found in zip(texts, spans, strict=True):
            after = at + len(found)
            results.append(joined_parts(text, found, generated[at:after], unfinished[at:after]))
            at = after
        return results

    def spans(
        self, texts: Sequence[str], kept: Sequence[Sequence[Span]] | None = None
    ) -> list[list[Span]]:
        """Returns for each text the spans of its parts that the model can read.

        Args:
            texts, kept: as in `translate`.
        """
        return fitting_spans(texts, self._fits, kept)

    @property
    def limit(self) -> int | None:
        """Most ids of a source, special ones counted; None where there is no limit."""
        limits = [self.max_source_length, self.model.network.max_source_length]
        return min((limit for limit in limits if limit is not None), default=None)

    def _fits(self, texts: list[str]) -> list[bool]:
        limit = self.limit
        if limit is None:
            return [True] * len(texts)
        rows = self.model.preprocessor.encode_source(texts, self.src_lang, self.tgt_lang)
        return [len(row) <= limit for row in rows]

    def _generate(self, texts: list[str]) -> tuple[list[str], list[bool]]:
        """Returns the generated texts, and whether each came to its limit before the end."""
        options = {**self.options, "src_lang": self.src_lang, "tgt_lang": self.tgt_lang}
        options = {name: value for name, value in options.items() if value is not None}
        if isinstance(options.get("decoder_prefix"), str):
            options["decoder_prefix"] = [options["decoder_prefix"]] * len(texts)
        output = self.model.generate(
            texts, batch_size=self.batch_size, return_output=True, **options
        )
        eos = self.model.special_ids.target.eos
        found, unfinished = [], []
        for i, text in enumerate(output.texts):
            # Of several texts the first, which is the best one.
            at = (i,) if isinstance(text, str) else (i, 0)
            text = text if isinstance(text, str) else text[0]
            # As it is where it is a text of one line, which all sources are.
            text = text.strip()
            found.append(text)
            length = int(output.lengths[at])
            ended = eos is None or (length > 0 and int(output.token_ids[at][length - 1]) == eos)
            unfinished.append(not ended)
        return found, unfinished

    def _report(
        self,
        texts: Sequence[str],
        spans: Sequence[Sequence[Span]],
        generated: Sequence[str],
        unfinished: Sequence[bool],
    ) -> None:
        """Logs what a reader of the result should look at."""
        split = [text for text, found in zip(texts, spans, strict=True) if len(found) > 1]
        if split:
            logger.warning(
                "%d of %d sentences have more than %d ids, which is the longest source, and were "
                "split; the first is %r",
                len(split),
                len(texts),
                self.limit,
                _short(split[0]),
            )
        parts = [texts[i][a:b] for i, found in enumerate(spans) for a, b in found]
        for problem, numbers in (
            (
                "were cut off at max_length, before the model had ended them; pass a larger "
                "max_length or max_new_tokens",
                [i for i, cut in enumerate(unfinished) if cut],
            ),
            (
                "are as in the source, since the model generated nothing for them",
                [i for i, text in enumerate(generated) if not text],
            ),
        ):
            if numbers:
                logger.warning(
                    "%d of %d generated sentences %s; the first is that of %r",
                    len(numbers),
                    len(parts),
                    problem,
                    _short(parts[numbers[0]]),
                )

    # ------------------------------------------------------------------ words

    def weights(
        self, translations: Sequence[Translation], kept: Sequence[Sequence[Span]]
    ) -> list[WordWeights]:
        """Returns for each sentence how much its generated words stand for source characters.

        Args:
            translations: those with markup.
            kept: for each, the spans that stay as they are.
        """
        parts = [part for translation in translations for part in translation.parts]
        found = attended_weights(
            self.model,
            [part.source for part in parts],
            [part.text for part in parts],
            src_lang=self.src_lang,
            tgt_lang=self.tgt_lang,
            batch_size=self.batch_size,
        )
        if found is None:
            found = [proportional_weights(part.source, part.text) for part in parts]
        results, at = [], 0
        for translation, spans in zip(translations, kept, strict=True):
            own = found[at : at + len(translation.parts)]
            at += len(own)
            whole = _of_sentence(translation, own)
            results.append(with_kept_words(whole, translation.source, translation.text, spans))
        return results


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
