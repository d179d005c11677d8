"""Limits the lengths of rows of ids: raises an error, or cuts the text and keeps its special ids.

Letters: R rows, L ids of a row.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from keras_s2s.config import LanguagesConfig, SpecialIds
from keras_s2s.text.row_error import RowError

logger = logging.getLogger(__name__)

#: What is done with a row that is too long.
Overlong = Literal["error", "truncate"]
#: The side of a text that is cut off, by transformers' names.
Cut = Literal["right", "left"]
Side = Literal["source", "target"]


class Frame(NamedTuple):
    """The numbers of special ids before and after the text of a row."""

    before: int
    after: int


def frame_of(row: Sequence[int], special_ids: SpecialIds, side: Side) -> Frame:
    """Returns how many special ids of `row` (BOS, EOS, languages) surround its text.

    Args:
        row: ids as `Preprocessor.frame_source` or `frame_target` makes them, `[L]`.
        special_ids: the special ids.
        side: whose ids these are.
    """
    languages = special_ids.languages
    codes = set() if languages is None else set(languages.codes.values())
    leads, ends = language_places(languages, side)
    ids = getattr(special_ids, side)
    after = 0
    if ends and row and row[-1] in codes:
        after = 1
    if ids.eos is not None and after < len(row) and row[-1 - after] == ids.eos:
        after += 1
    before, room = 0, len(row) - after
    if leads and room and row[0] in codes:
        before = 1
    if ids.bos is not None and before < room and row[before] == ids.bos:
        before += 1
    return Frame(before, after)


def language_places(languages: LanguagesConfig | None, side: Side) -> tuple[bool, bool]:
    """Returns whether a language may lead a row of `side`, and whether it may end it."""
    if languages is None:
        return False, False
    if side == "target":
        return languages.target == "forced_bos", False
    leads = languages.source == "prefix" or languages.target == "source_prefix"
    return leads, languages.source == "suffix"


def truncated(
    row: Sequence[int],
    length: int,
    special_ids: SpecialIds,
    side: Side,
    *,
    cut: Cut = "right",
    ends_once: bool = False,
) -> list[int]:
    """Returns `row` cut to `length` ids as transformers cuts it: text is removed, special ids stay.

    Args:
        row: ids of a text with its special ids, `[L]`.
        length: most ids of the result, special ones counted.
        special_ids: the special ids.
        side: whose ids these are.
        cut: the end of the text that is cut off.
        ends_once: a text that is left with EOS at its end gets no second one (ByT5).

    Raises:
        ValueError: the special ids leave no room for text.

    Example:
        >>> ids = {"source": {"pad": 0, "eos": 1}, "target": {"pad": 0, "eos": 1,
        ...        "decoder_start": 0}}
        >>> truncated([7, 8, 9, 1], 3, SpecialIds.model_validate(ids), "source")
        [7, 8, 1]
    """
    if len(row) <= length:
        return list(row)
    frame = frame_of(row, special_ids, side)
    room = length - frame.before - frame.after
    if room < 1:
        raise ValueError(
            f"a {side} of {length} ids has no room for text: the special ids around it are "
            f"{frame.before + frame.after}; allow {frame.before + frame.after + 1} or more"
        )
    end = len(row) - frame.after
    text = list(row[frame.before : end])
    text = text[:room] if cut == "right" else text[-room:]
    after = list(row[end:])
    if ends_once and after == text[-1:]:
        after = []
    return [*row[: frame.before], *text, *after]


def fitting(
    rows: Sequence[Sequence[int]],
    length: int | None,
    special_ids: SpecialIds,
    side: Side,
    *,
    overlong: Overlong = "error",
    limit: str = "max_length={}",
    cut: Cut = "right",
    ends_once: bool = False,
) -> list[list[int]]:
    """Returns rows that have at most `length` ids each.

    How many were cut is logged as a warning.

    Args:
        rows: `R` rows of ids with their special ids.
        length: most ids of a row; None is no limit.
        special_ids: the special ids.
        side: whose ids these are.
        overlong: what is done with longer ones.
        limit: where the limit comes from, for messages, with `{}` for the number.
        cut, ends_once: as in `truncated`.

    Raises:
        RowError: rows are too long where that is an error.
        ValueError: cutting leaves no text.
    """
    check_overlong(overlong)
    if length is None:
        return [list(row) for row in rows]
    long = [number for number, row in enumerate(rows) if len(row) > length]
    if not long:
        return [list(row) for row in rows]
    if overlong == "error":
        raise RowError(
            side,
            {i: f"has {len(rows[i])} ids, but {limit.format(length)}" for i in long},
            remedy="shorten it, or pass overlong='truncate' to cut what is too long",
            overlong=True,
        )
    first = f"{side} {long[0]} has {len(rows[long[0]])} ids"
    logger.warning(
        "%d of %d %ss were cut to %d ids (%s)", len(long), len(rows), side, length, first
    )
    return [truncated(row, length, special_ids, side, cut=cut, ends_once=ends_once) for row in rows]


def check_overlong(overlong: str) -> None:
    """Raises an error for a value that is not one of `Overlong`.

    Raises:
        ValueError: with those that are.
    """
    if overlong not in get_args(Overlong):
        names = " or ".join(map(repr, get_args(Overlong)))
        raise ValueError(f"overlong={overlong!r} must be {names}")
