"""Reads the targets of a call: how they begin, their prefixes, and given targets to score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from keras_s2s.data.checks.flat_ids import flat_ids
from keras_s2s.decoding.model_parts import ModelParts
from keras_s2s.decoding.requests.read_sources import (
    checked_rows,
    feature_rows,
    refuse_languages_of_ids,
)
from keras_s2s.samplers.checks import whole
from keras_s2s.text.languages import Language, TargetStart, spread, target_start
from keras_s2s.text.truncation import Overlong


class Pairs(NamedTuple):
    """Sources and targets that are ready to be scored.

    Attributes:
        sources: ids of each source, or arrays where sources are no ids.
        targets: ids of each target, as labels (no decoder start).
        starts: the decoder start of each target.
    """

    sources: list[Any]
    targets: list[list[int]]
    starts: list[int]


def target_starts(
    parts: ModelParts, tgt_lang: Language, count: int
) -> dict[TargetStart, list[int]]:
    """Groups the numbers of `count` sources by decoder start and forced first id; without sources
    there is one empty group.
    """
    groups: dict[TargetStart, list[int]] = {}
    for row, code in enumerate(spread(tgt_lang, count, "tgt_lang")):
        groups.setdefault(target_start(parts.special_ids, code), []).append(row)
    return groups or {target_start(parts.special_ids): []}


def forced_first(parts: ModelParts, tgt_lang: Language, options: Mapping[str, Any]) -> int | None:
    """Returns the id that the caller forces every target to begin with, or None.

    Raises:
        ValueError: it is the id of another language than the one that the caller names.
    """
    first, languages = options.get("forced_bos_token_id"), parts.special_ids.languages
    if first is None or languages is None or languages.target != "forced_bos":
        return None
    for code in {tgt_lang} if isinstance(tgt_lang, str) else set(tgt_lang or ()):
        if code is not None and target_start(parts.special_ids, code).forced_bos != first:
            raise ValueError(
                f"forced_bos_token_id={first} and tgt_lang={code!r} name two languages for the "
                "same target; pass one of them"
            )
    return whole("forced_bos_token_id", first, 0)


def prefix_rows(
    parts: ModelParts,
    prefix: Any,
    count: int,
    *,
    single: bool,
    tgt_lang: Language = None,
    first: int | None = None,
) -> list[list[int]] | None:
    """Returns the prefix of each source's target as ids; None where no prefix was given.

    Args:
        parts: of the model.
        prefix: texts or lists of ids, one for each source; None where there is none.
        count: number of sources.
        single: the source was one text, and so is the prefix.
        tgt_lang: language of each target.
        first: id that all targets are forced to begin with, in place of their language's.

    Raises:
        ValueError: there is not one prefix for each source, or one holds something else than ids.
    """
    if prefix is None:
        return None
    if not isinstance(prefix, Iterable):
        raise ValueError(f"decoder_prefix={prefix!r} must be a text, or a list of ids")
    prefixes = [prefix] if single else list(prefix)
    if len(prefixes) != count or (isinstance(prefix, str) and not single):
        raise ValueError(
            f"decoder_prefix must hold one prefix for each of {count} sources, "
            f"got {1 if isinstance(prefix, str) else len(prefixes)}"
        )
    vocabulary = parts.preset.architecture.target_vocab_size
    rows = []
    codes = spread(tgt_lang, count, "tgt_lang")
    for i, (each, code) in enumerate(zip(prefixes, codes, strict=True)):
        if isinstance(each, str):
            # The target's own EOS would end it before it begins.
            each = parts.require_preprocessor().encode_target_prefix(each, code, first=first)
        rows.append(flat_ids(f"decoder_prefix {i}", each, vocabulary, "target").tolist())
    return rows


def pair_rows(
    parts: ModelParts,
    sources: str | Sequence[Any],
    targets: str | Sequence[Any],
    *,
    src_lang: Language = None,
    tgt_lang: Language = None,
    overlong: Overlong = "error",
) -> Pairs:
    """Returns sources and targets to score, from texts or from ids.

    Args:
        parts: of the model.
        sources, targets: a text each, or lists of texts, or lists of lists of ids.
        src_lang, tgt_lang: as in `generate`.
        overlong: what is done with a source or target that is longer than the model's positions.

    Raises:
        TypeError: texts on one side and ids on the other, or a text and a list.
        ValueError: ids outside a vocabulary; sources or targets that are empty or too long; as many
            sources as targets are expected; languages that the ids do not have.
    """
    if isinstance(sources, str) != isinstance(targets, str):
        raise TypeError("sources and targets must both be a text, or both be lists")
    for name, side in (("sources", sources), ("targets", targets)):
        if isinstance(side, Mapping):
            raise TypeError(
                f"{name} is a mapping of {', '.join(map(str, side))}; score() takes texts, or "
                "lists of ids without padding"
            )
    given: list[list[Any]] = [
        [side] if isinstance(side, str) else list(side) for side in (sources, targets)
    ]
    if len(given[0]) != len(given[1]):
        raise ValueError(f"{len(given[0])} sources but {len(given[1])} targets")
    if not parts.network.frontend.reads_text:
        return _feature_pairs(parts, given[0], given[1], src_lang, tgt_lang, overlong)
    texts = {isinstance(row, str) for row in (*given[0], *given[1])}
    if len(texts) == 2:
        raise TypeError("sources and targets must all be texts, or all be lists of ids")
    if texts == {True}:
        preprocessor = parts.require_preprocessor()
        given = [
            preprocessor.encode_source(given[0], src_lang, tgt_lang),
            preprocessor.encode_target(given[1], tgt_lang),
        ]
    else:
        refuse_languages_of_ids(parts, src_lang, tgt_lang)
        _check_first_ids(parts, given[1], tgt_lang)
    source_ids = checked_rows(parts, given[0], "source", overlong)
    target_ids = checked_rows(parts, given[1], "target", overlong)
    return Pairs(source_ids, target_ids, _decoder_starts(parts, tgt_lang, len(source_ids)))


def _decoder_starts(parts: ModelParts, tgt_lang: Language, count: int) -> list[int]:
    starts = [0] * count
    for start, places in target_starts(parts, tgt_lang, count).items():
        for i in places:
            starts[i] = start.decoder_start
    return starts


def _feature_pairs(
    parts: ModelParts,
    sources: list[Any],
    targets: list[Any],
    src_lang: Language,
    tgt_lang: Language,
    overlong: Overlong,
) -> Pairs:
    """Returns pairs whose sources are arrays, and whose targets are texts or lists of ids."""
    refuse_languages_of_ids(parts, src_lang, tgt_lang)
    texts = {isinstance(row, str) for row in targets}
    if len(texts) == 2:
        raise TypeError("targets must all be texts, or all be lists of ids")
    if texts == {True}:
        targets = parts.require_preprocessor().encode_target(targets, tgt_lang)
    rows = feature_rows(parts, sources, overlong)
    target_ids = checked_rows(parts, targets, "target", overlong)
    return Pairs(rows, target_ids, _decoder_starts(parts, tgt_lang, len(rows)))


def _check_first_ids(parts: ModelParts, targets: Sequence[Any], tgt_lang: Language) -> None:
    """Checks that ids of targets begin with the languages that a call names."""
    languages = parts.special_ids.languages
    if tgt_lang is None or languages is None or languages.target != "forced_bos":
        return
    codes = spread(tgt_lang, len(targets), "tgt_lang")
    for i, (row, code) in enumerate(zip(targets, codes, strict=True)):
        wanted = None if code is None else target_start(parts.special_ids, code).forced_bos
        if wanted is not None and list(row[:1]) != [wanted]:
            raise ValueError(
                f"target {i} does not begin with {wanted}, the id of {code!r}: ids of a target "
                "have their language in them"
            )
