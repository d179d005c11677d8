"""Tells which part of a source each word of a generated text stands for.

From the attention of the decoder, where there is some; else by how far along a word is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from keras_s2s.analysis.alignment import attention_of_texts, prefix_spans
from keras_s2s.decoding.generator import NoAttentionError
from keras_s2s.documents.splitting.sentences import Span
from keras_s2s.documents.words import word_spans


def attended_weights(
    model: Any,
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    src_lang: str | None = None,
    tgt_lang: str | None = None,
    batch_size: int = 32,
) -> list[np.ndarray] | None:
    """Returns for each pair how much each target word attends to each source character.

    Args:
        model: a `Seq2SeqLM` with a preprocessor.
        sources, targets: the texts.
        src_lang, tgt_lang: their languages.
        batch_size: pairs that are computed at a time.

    Returns:
        float arrays `[T words, S characters]` whose rows sum to 1, or are 0 for words that attend
        to no character; None where the model has no attention.
    """
    if not sources:
        return []
    try:
        found = attention_of_texts(
            model,
            sources,
            targets,
            src_lang=src_lang,
            tgt_lang=tgt_lang,
            batch_size=batch_size,
            overlong="truncate",
        )
    except NoAttentionError:
        return None
    text = model.preprocessor

    def prefixes(ids: Sequence[int], decode: Callable[[list[list[int]]], list[str]]) -> list[str]:
        return decode([list(ids[: end + 1]) for end in range(len(ids))])

    return [
        weights_by_words(
            source,
            target,
            prefixes(source_ids, text.decode_source),
            prefixes(target_ids, text.decode_target),
            attention,
        )
        for source, target, (source_ids, target_ids, attention) in zip(
            sources, targets, found, strict=True
        )
    ]


def weights_by_words(
    source: str,
    target: str,
    source_prefixes: Sequence[str],
    target_prefixes: Sequence[str],
    attention: np.ndarray,
) -> np.ndarray:
    """Returns attention between ids as attention of words to characters.

    Args:
        source, target: the texts.
        source_prefixes: the text of the source's first id, of the first two, and so on.
        target_prefixes: the same of the target.
        attention: of ids, float32 `[T, S]`.

    Returns:
        float `[T words, S characters]` whose rows sum to 1, or are 0.
    """
    columns = _token_places(source, source_prefixes)  # [S ids, S characters]
    rows = _token_places(target, target_prefixes)  # [T ids, T characters]
    words = word_spans(target)
    to_characters = attention @ columns
    weights = np.zeros((len(words), len(source)))
    for i, (start, end) in enumerate(words):
        share = rows[:, start:end].sum(axis=1)  # [T ids]
        weights[i] = share @ to_characters
    sums = weights.sum(axis=1, keepdims=True)
    return np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)


def _token_places(text: str, prefixes: Sequence[str]) -> np.ndarray:
    """Returns the share of each character in each token, `[ids, characters]`; rows sum to 1 or 0.

    Decoded text differs from the text where a tokenizer normalises: the characters that are not
    white space are counted.
    """
    decoded, spans = prefix_spans(prefixes)
    here = [i for i, character in enumerate(text) if not character.isspace()]
    before = np.concatenate([[0], np.cumsum([not c.isspace() for c in decoded])]).astype(int)
    scale = len(here) / max(int(before[-1]), 1)
    places = np.zeros((len(prefixes), len(text)))
    for row, (start, end) in enumerate(spans):
        first, last = before[start] * scale, before[end] * scale
        covered = here[int(first) : max(int(np.ceil(last)), int(first) + 1)] if last > first else []
        if covered:
            places[row, covered] = 1 / len(covered)
    return places


def proportional_weights(source: str, target: str) -> np.ndarray:
    """Returns weights `[T words, S characters]` as if both texts said the same in one order.

    Example:
        >>> proportional_weights("ab cd", "vw xy").argmax(axis=1).tolist()
        [0, 3]
    """
    words = word_spans(target)
    scale = len(source) / max(len(target), 1)
    weights = np.zeros((len(words), len(source)))
    for i, (start, end) in enumerate(words):
        first = min(int(start * scale + 1e-9), len(source) - 1)
        last = min(max(int(np.ceil(end * scale - 1e-9)), first + 1), len(source))
        weights[i, first:last] = 1 / (last - first)
    return weights


class WordWeights(NamedTuple):
    """The words of a generated text, T, and how much each stands for each source character.

    Attributes:
        words: spans of the text.
        weights: float `[T, S]`; rows sum to 1, or are 0.
    """

    words: list[Span]
    weights: np.ndarray


def with_kept_words(
    weights: np.ndarray, source: str, target: str, kept: Sequence[Span]
) -> WordWeights:
    """Returns words and weights in which a word copied from a kept span belongs to that span alone.

    Args:
        weights: `[T words, S characters]`.
        source, target: the texts.
        kept: spans of the source.
    """
    words = word_spans(target)
    used: list[Span] = []
    for span in kept:
        place = _copy_of(source, span, target, words, used)
        if place is None:
            continue
        used.append(place)
        # The copy may be a part of what looks like a word.
        cut = [
            (i, part)
            for i, (start, end) in enumerate(words)
            for part in _cut_at(Span(start, end), place)
        ]
        words, weights = [part for _, part in cut], weights[[i for i, _ in cut]]
        # Nothing else stands for it.
        weights[:, span.start : span.end] = 0
        for i, word in enumerate(words):
            if place.start <= word.start and word.end <= place.end:
                weights[i] = 0
                weights[i, span.start : span.end] = 1 / (span.end - span.start)
    return WordWeights(words, weights)


def _copy_of(
    source: str, span: Span, target: str, words: Sequence[Span], used: Sequence[Span]
) -> Span | None:
    """Returns where a generated text repeats a span of its source; None where it does not."""
    content = source[span.start : span.end]
    wanted = span.start / max(len(source), 1) * len(target)
    places = [
        Span(at, at + len(content))
        for at in range(len(target) - len(content) + 1)
        if target.startswith(content, at)
        and not any(at < end and start < at + len(content) for start, end in used)
    ]
    starts, ends = {word.start for word in words}, {word.end for word in words}

    def distance(place: Span) -> tuple[bool, float]:
        """Returns whether a place cuts a word, and its distance from the expected position."""
        return not (place.start in starts and place.end in ends), abs(place.start - wanted)

    return min(places, key=distance, default=None)


def _cut_at(word: Span, place: Span) -> list[Span]:
    """Returns the parts of a word before, inside and after a span."""
    cuts = sorted({word.start, word.end, *(at for at in place if word.start < at < word.end)})
    return [Span(start, end) for start, end in pairwise(cuts)]
