"""Encodes the texts of an objective before the first batch: checks, counts, and cuts them.

`drawn_pairs.py` is the result, which draws pairs when batches are made.
"""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from keras_s2s.config import SpecialIds
from keras_s2s.data.errors import DataError
from keras_s2s.data.examples.encoding import OverlongPairs
from keras_s2s.data.examples.given_pairs import CHUNK, ids_of_data
from keras_s2s.data.files.text_pairs import is_blank
from keras_s2s.data.objectives.drawn_pairs import DrawnPairs, Frame
from keras_s2s.data.objectives.objective import Objective
from keras_s2s.text.data_frames import texts_of

if TYPE_CHECKING:
    from keras_s2s.text.preprocessor import Preprocessor

logger = logging.getLogger(__name__)


def encode_texts(
    texts: Iterable[Any],
    preprocessor: Preprocessor | None,
    special_ids: SpecialIds,
    objective: Objective,
    *,
    seed: int,
    max_source_length: int | None = None,
    max_target_length: int | None = None,
    overlong: OverlongPairs = "drop",
) -> DrawnPairs:
    """Encodes texts for an objective.

    Args:
        texts: texts with a preprocessor, else rows of ids without special ids.
        preprocessor: text to ids; one tokenizer for both sides.
        special_ids: the special ids.
        objective: makes a source and a target of each.
        seed: of its draws.
        max_source_length: longest source in ids, BOS and EOS included.
        max_target_length: longest target in ids, BOS and EOS included.
        overlong: what to do with a text that could give longer ones. Cutting takes its end away, or
            its beginning where the tokenizer's files say so (truncation_side).

    Raises:
        DataError: an element is not a text, is too long where that is an error, or none is left.
        ValueError: the tokenizer does not have what the objective needs.
    """
    if preprocessor is not None and not preprocessor.joint:
        raise ValueError(
            "an objective makes source and target of one text, but this preprocessor has a "
            "tokenizer for each side; train one for both: Preprocessor.train(..., joint=True)"
        )
    objective = objective.bind(None if preprocessor is None else preprocessor.source)
    drawn = DrawnPairs(objective, *_frames(preprocessor, special_ids), seed)
    report = drawn.report
    reserved = np.array(sorted(objective.reserved), "int64")
    left = preprocessor is not None and preprocessor.source.truncation_side == "left"
    limits = _Limits(drawn, max_source_length, max_target_length, overlong, objective.shortest)
    short_of = 0
    for number, ids in _ids(texts, preprocessor):
        report.read += 1
        if len(ids) < objective.shortest:
            report.empty += 1
            continue
        if len(reserved) and np.isin(ids, reserved).any():
            report.reserved += 1
            continue
        if not limits.fits(len(ids)):
            length = limits.length_for(number, len(ids))
            if length is None:
                continue
            ids = ids[-length:] if left else ids[:length]
        drawn.append(number, ids)
        short_of = max(short_of, objective.short_of(len(ids)))

    if report.kept == 0:
        raise DataError(
            f"no text is left for a batch: {report} (max_source_length={max_source_length}, "
            f"max_target_length={max_target_length}, {objective.shortest} ids or more needed)"
        )
    if short_of:
        logger.warning(
            "the longest text needs %d sentinels more than the tokenizer has; long texts get "
            "fewer and longer spans. Train the tokenizer with more sentinels, or limit the length",
            short_of,
        )
    return drawn


@dataclass(frozen=True)
class _Limits:
    """Most ids of a source and of a target, and what is done with texts that could give more."""

    drawn: DrawnPairs
    source: int | None
    target: int | None
    overlong: OverlongPairs
    shortest: int

    def _exceeded(self, length: int) -> tuple[bool, bool]:
        """Returns whether source and target of a text of so many ids can be too long."""
        source, target = self.drawn.longest(length)
        return (
            self.source is not None and source > self.source,
            self.target is not None and target > self.target,
        )

    def fits(self, length: int) -> bool:
        """Returns whether a text of so many ids gives no pair that is too long."""
        return not any(self._exceeded(length))

    def length_for(self, number: int, length: int) -> int | None:
        """Returns the length that a text is cut to; None if it is dropped. Counts it in the report.

        Raises:
            DataError: a text that is too long is an error.
        """
        if self.overlong == "error":
            source, target = self.drawn.longest(length)
            raise DataError(
                f"text {number} (counted from 0): {length} ids give a source of up to "
                f"{source} and a target of up to {target}, but max_source_length is "
                f"{self.source} and max_target_length {self.target}; raise them, "
                "or choose overlong='drop' or 'truncate'"
            )
        report = self.drawn.report
        long_source, long_target = self._exceeded(length)
        report.overlong_source += long_source
        report.overlong_target += long_target
        fitting = _longest_that_fits(self.fits, self.shortest, length)
        if self.overlong == "drop" or fitting is None:
            report.overlong_dropped += 1
            return None
        report.truncated += 1
        return fitting


def _longest_that_fits(fits: Callable[[int], bool], least: int, most: int) -> int | None:
    """Returns the greatest length that fits, by bisection; `None` where not even `least` does."""
    if not fits(least):
        return None
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if fits(middle) else (least, middle)
    return least


def _frames(preprocessor: Preprocessor | None, special_ids: SpecialIds) -> tuple[Frame, Frame]:
    """Returns the special ids around sources and around targets."""
    if preprocessor is not None:
        text = -1  # not an id: it marks the place
        rows = preprocessor.frame_source([[text]])[0], preprocessor.frame_target([[text]])[0]
        source, target = (Frame(row[: row.index(text)], row[row.index(text) + 1 :]) for row in rows)
        return source, target
    if special_ids.languages is not None:
        raise ValueError(
            "an objective over ids cannot tell which language a row is in; pass texts and the "
            "model's preprocessor"
        )
    source, target = (
        Frame([] if ids.bos is None else [ids.bos], [] if ids.eos is None else [ids.eos])
        for ids in (special_ids.source, special_ids.target)
    )
    return source, target


def _ids(
    texts: Iterable[Any], preprocessor: Preprocessor | None
) -> Iterator[tuple[int, Sequence[int]]]:
    """Yields the number and ids of each text; an empty text has no ids."""
    if isinstance(texts, str):
        raise DataError(f"expected several texts, got one str: {texts[:40]!r}")
    try:
        texts = texts_of(texts)
    except ValueError as error:
        raise DataError(str(error)) from None
    numbered = iter(enumerate(texts))
    total = len(texts) if isinstance(texts, Sized) else None
    with tqdm(
        desc="encoding", total=total, unit=" texts", delay=1, leave=False, file=sys.stderr
    ) as bar:
        while chunk := list(itertools.islice(numbered, CHUNK)):
            if preprocessor is None:
                for number, row in chunk:
                    yield number, ids_of_data(f"text {number} (counted from 0)", row)
            else:
                for number, text in chunk:
                    _check_text(number, text)
                full = [(number, text) for number, text in chunk if not is_blank(text)]
                rows = preprocessor.source.encode_batch([text for _, text in full])
                ids = {number: row for (number, _), row in zip(full, rows, strict=True)}
                for number, _ in chunk:
                    yield number, ids.get(number, ())
            bar.update(len(chunk))


def _check_text(number: int, text: Any) -> None:
    if not isinstance(text, str):
        shown = repr(text)
        raise DataError(
            f"text {number} (counted from 0): expected a text, got "
            f"{shown if len(shown) <= 80 else shown[:77] + '...'}; with an objective an element "
            "is one text, for rows of ids pass special_ids and no preprocessor"
        )
