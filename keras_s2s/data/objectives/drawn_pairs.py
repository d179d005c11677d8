"""Texts from which an objective draws a source and a target, another one in every epoch."""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from keras_s2s.config import SpecialIds
from keras_s2s.data.errors import DataError
from keras_s2s.data.examples.encoded_pairs import BatchReport
from keras_s2s.data.examples.encoding import OverlongPairs
from keras_s2s.data.examples.given_pairs import CHUNK, ids_of_data
from keras_s2s.data.examples.ragged import RaggedIds
from keras_s2s.data.files.text_pairs import is_blank
from keras_s2s.data.objectives.objective import Objective
from keras_s2s.layers.frontends import TOKEN_IDS
from keras_s2s.text.data_frames import texts_of

if TYPE_CHECKING:
    from keras_s2s.text.preprocessor import Preprocessor

logger = logging.getLogger(__name__)


class Frame(NamedTuple):
    """The special ids before and after the ids of a text."""

    before: list[int]
    after: list[int]

    @property
    def size(self) -> int:
        """Number of these special ids."""
        return len(self.before) + len(self.after)

    def around(self, ids: np.ndarray) -> np.ndarray:
        """Returns a row with the special ids, int32 `[size + len(ids)]`."""
        return np.concatenate([self.before, ids, self.after]).astype("int32")


class DrawnPairs:
    """Encoded texts, and the pairs that an objective draws from them.

    A draw depends on the seed, the epoch and the number of the text among those that were given,
    not on the batch that the text is in or on other texts.

    Attributes:
        report: counts of texts used, dropped and truncated.
        source_lengths: ids of the longest source of each text, int64 `[N]`.
        target_lengths: ids of the longest target of each text, int64 `[N]`.
    """

    def __init__(self, objective: Objective, source: Frame, target: Frame, seed: int) -> None:
        self.report = BatchReport(what="texts")
        self._objective = objective
        self._source = source
        self._target = target
        self._seed = seed
        self._texts = RaggedIds()
        self._numbers: list[int] = []

    def append(self, number: int, ids: Sequence[int]) -> None:
        """Adds a text without special ids, the `number`-th of those that were given."""
        self._texts.append(ids)
        self._numbers.append(number)

    def longest(self, length: int) -> tuple[int, int]:
        """Returns the lengths of the longest source and target of a text of `length` ids, special
        ids included.
        """
        source, target = self._objective.longest(length)
        return source + self._source.size, target + self._target.size

    @property
    def source_lengths(self) -> np.ndarray:
        return self._lengths()[:, 0]

    @property
    def target_lengths(self) -> np.ndarray:
        return self._lengths()[:, 1]

    #: An objective makes its sources of texts.
    source_input = TOKEN_IDS

    @property
    def largest_ids(self) -> tuple[int, int]:
        """The largest id a source and a target can hold."""
        inner = [self._texts.largest, *self._objective.reserved]
        source, target = (
            max(*inner, *frame.before, *frame.after, -1) for frame in (self._source, self._target)
        )
        return source, target

    def pair(self, row: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns source and target ids of a text in an epoch, int32 `[S]` and `[T]`."""
        rng = np.random.default_rng((self._seed, epoch, self._numbers[row]))
        source, target = self._objective(self._texts[row], rng)
        return self._source.around(source), self._target.around(target)

    def _lengths(self) -> np.ndarray:
        known = {int(n): self.longest(int(n)) for n in np.unique(self._texts.lengths)}
        return np.array([known[int(n)] for n in self._texts.lengths], "int64").reshape(-1, 2)


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
    limits = (max_source_length, max_target_length)
    short_of = 0

    def fits(length: int) -> bool:
        return all(
            limit is None or longest <= limit
            for longest, limit in zip(drawn.longest(length), limits, strict=True)
        )

    for number, ids in _ids(texts, preprocessor):
        report.read += 1
        if len(ids) < objective.shortest:
            report.empty += 1
            continue
        if len(reserved) and np.isin(ids, reserved).any():
            report.reserved += 1
            continue
        if not fits(len(ids)):
            if overlong == "error":
                source, target = drawn.longest(len(ids))
                raise DataError(
                    f"text {number} (counted from 0): {len(ids)} ids give a source of up to "
                    f"{source} and a target of up to {target}, but max_source_length is "
                    f"{max_source_length} and max_target_length {max_target_length}; raise them, "
                    "or choose overlong='drop' or 'truncate'"
                )
            too_long = [
                limit is not None and longest > limit
                for longest, limit in zip(drawn.longest(len(ids)), limits, strict=True)
            ]
            report.overlong_source += too_long[0]
            report.overlong_target += too_long[1]
            length = _longest_that_fits(fits, objective.shortest, len(ids))
            if overlong == "drop" or length is None:
                report.overlong_dropped += 1
                continue
            report.truncated += 1
            left = preprocessor is not None and preprocessor.source.truncation_side == "left"
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
