"""Encodes pairs before the first batch: checks, counts, and cuts them where asked."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from tqdm import tqdm

from keras_s2s.config import SpecialIds
from keras_s2s.data.checks.flat_ids import flat_ids
from keras_s2s.data.errors import DataError
from keras_s2s.data.examples.ragged import RaggedArrays, RaggedIds
from keras_s2s.data.files.pairs import is_blank
from keras_s2s.data.teacher_forcing import start_may_be_label
from keras_s2s.layers.contracts import Frontend, SourceInput
from keras_s2s.layers.frontends import TOKEN_IDS
from keras_s2s.text.tables import pairs_of
from keras_s2s.text.truncation import Overlong, Side, truncated

if TYPE_CHECKING:
    from keras_s2s.text.preprocessor import Preprocessor

#: What is done with a pair of which a side is too long.
OverlongPairs = Literal["drop", Overlong]

# Texts encoded at a time: enough for the tokenizer's threads, few enough to show progress.
CHUNK = 1024


@dataclass
class BatchReport:
    """Counts of the pairs, or of an objective's texts, that were used, dropped and cut.

    Attributes:
        what: `"pairs"` or `"texts"`.
        read: pairs given.
        empty: dropped, because a side had no text or no ids, or a text too few ids for the
            objective.
        reserved: dropped, because the text holds a token that the objective inserts.
        overlong_source: pairs whose source is longer than max_source_length.
        overlong_target: pairs whose target is longer than max_target_length.
        overlong_dropped: pairs dropped for either reason.
        truncated: pairs cut for either reason, and kept.
    """

    what: str = "pairs"
    read: int = 0
    empty: int = 0
    reserved: int = 0
    overlong_source: int = 0
    overlong_target: int = 0
    overlong_dropped: int = 0
    truncated: int = 0

    @property
    def kept(self) -> int:
        """Pairs that are in the batches."""
        return self.read - self.empty - self.reserved - self.overlong_dropped

    def __str__(self) -> str:
        parts = [f"{self.read} {self.what} given, {self.kept} used"]
        if self.empty:
            reason = "with an empty side" if self.what == "pairs" else "as empty or too short"
            parts.append(f"{self.empty} dropped {reason}")
        if self.reserved:
            parts.append(f"{self.reserved} dropped with a sentinel or mask token in them")
        for count, what in ((self.overlong_dropped, "dropped"), (self.truncated, "truncated")):
            if count:
                parts.append(
                    f"{count} {what} as too long (source: {self.overlong_source}, "
                    f"target: {self.overlong_target})"
                )
        return "; ".join(parts)


@dataclass
class EncodedPairs:
    """Source and target ids, row by row, and how they came to be.

    Sources may be feature vectors in place of ids.
    """

    sources: RaggedIds | RaggedArrays = field(default_factory=RaggedIds)
    targets: RaggedIds = field(default_factory=RaggedIds)
    report: BatchReport = field(default_factory=BatchReport)
    #: Which of the pairs that were given each row is, counted from 0.
    numbers: list[int] = field(default_factory=list)
    #: Rows and sides that were truncated.
    cut: set[tuple[int, Side]] = field(default_factory=set)

    @property
    def source_input(self) -> SourceInput:
        """The model input that the sources are for."""
        return self.sources.source if isinstance(self.sources, RaggedArrays) else TOKEN_IDS

    @property
    def source_lengths(self) -> np.ndarray:
        """Ids, or feature vectors, of each source, int64 `[N]`."""
        return self.sources.lengths

    @property
    def target_lengths(self) -> np.ndarray:
        """Ids of each target, int64 `[N]`."""
        return self.targets.lengths

    @property
    def largest_ids(self) -> tuple[int, int]:
        """The largest source and target id."""
        return self.sources.largest, self.targets.largest

    def pair(self, row: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the source (ids int32 `[S]`, or feature vectors) and target ids, int32 `[T]`, of
        a pair.

        They are the same in every epoch.
        """
        return self.sources[row], self.targets[row]

    def with_rows_of(self, other: EncodedPairs, rows: Sequence[int]) -> EncodedPairs:
        """Returns these pairs with some of another encoding of the same texts."""
        theirs = set(rows)

        def mixed(mine: Any, others: Any) -> Any:
            if mine is others:
                return mine
            both = RaggedIds()
            for row in range(len(mine)):
                both.append((others if row in theirs else mine)[row].tolist())
            return both

        return replace(
            self,
            sources=mixed(self.sources, other.sources),
            targets=mixed(self.targets, other.targets),
        )


def encode_pairs(
    pairs: Iterable[Any],
    preprocessor: Preprocessor | None,
    special_ids: SpecialIds,
    *,
    max_source_length: int | None = None,
    max_target_length: int | None = None,
    overlong: OverlongPairs = "drop",
    frontend: Frontend | None = None,
) -> EncodedPairs:
    """Encodes pairs and checks their ids.

    Args:
        pairs: (text, text) with a preprocessor, else (ids, ids); targets end in EOS. A source may
            also be an array of feature vectors, `[S, F]`.
        preprocessor: text to ids.
        special_ids: the special ids.
        max_source_length: longest source in ids, BOS and EOS included.
        max_target_length: longest target in ids, EOS included.
        overlong: what to do with longer ones. Cutting keeps the special ids around the text.
        frontend: of the model, which checks sources that are no ids; None takes arrays of numbers
            with a fraction for feature vectors.

    Raises:
        DataError: an element is not such a pair, a target does not end in EOS or looks
            shifted or padded, a pair is too long where that is an error or cutting leaves no
            text, or none is left.
    """
    try:
        pairs = pairs_of(pairs)
    except ValueError as error:
        raise DataError(str(error)) from None
    encoded = EncodedPairs()
    if frontend is not None and not frontend.reads_text:
        encoded.sources = RaggedArrays(frontend.input)
    report = encoded.report
    target_eos = special_ids.target.eos
    started = 0

    def cut(side: Side, ids: Any, length: int) -> Any:
        if isinstance(ids, np.ndarray):
            return ids[:length]
        options: dict[str, Any] = {}
        if (tokenizer := getattr(preprocessor, side, None)) is not None:
            options = {"cut": tokenizer.truncation_side, "ends_once": tokenizer.ends_once}
        try:
            return truncated(ids, length, special_ids, side, **options)
        except ValueError as error:
            raise DataError(
                f"pair {number} (counted from 0), max_{side}_length={length}: {error}"
            ) from None

    for number, source, target in _ids(pairs, preprocessor, special_ids, frontend):
        report.read += 1
        if len(source) == 0 or len(target) == 0:
            report.empty += 1
            continue
        if target[-1] != target_eos:
            raise DataError(
                f"pair {number} (counted from 0): the target ends in id {target[-1]}, expected "
                f"the EOS id {target_eos}; without it the model never learns to stop. Append "
                "it to every target"
            )
        starts = len(target) > 1 and target[0] == special_ids.target.decoder_start
        long_source = max_source_length is not None and len(source) > max_source_length
        long_target = max_target_length is not None and len(target) > max_target_length
        if long_source or long_target:
            if overlong == "error":
                raise DataError(
                    f"pair {number} (counted from 0): source of {len(source)} and target of "
                    f"{len(target)} ids, but max_source_length is {max_source_length} and "
                    f"max_target_length {max_target_length}; raise them, or choose "
                    "overlong='drop' or 'truncate'"
                )
            report.overlong_source += long_source
            report.overlong_target += long_target
            if overlong == "drop":
                report.overlong_dropped += 1
                continue
            report.truncated += 1
            row = len(encoded.targets)
            if max_source_length is not None and long_source:
                source = cut("source", source, max_source_length)
                encoded.cut.add((row, "source"))
            if max_target_length is not None and long_target:
                target = cut("target", target, max_target_length)
                encoded.cut.add((row, "target"))
        if isinstance(source, np.ndarray) and not len(encoded.sources) and frontend is None:
            kind = SourceInput("encoder_features", "float32", source.shape[1:])
            encoded.sources = RaggedArrays(kind)
        _check_kind(number, source, encoded.sources)
        encoded.sources.append(source)
        encoded.targets.append(target)
        encoded.numbers.append(number)
        started += starts

    if report.kept == 0:
        limits = f"max_source_length={max_source_length}, max_target_length={max_target_length}"
        raise DataError(f"no pair is left for a batch: {report} ({limits})")
    # A single text may spell the decoder start; if all targets begin with it, the
    # preprocessor puts it there.
    if started == len(encoded.targets) and not start_may_be_label(special_ids):
        raise DataError(
            "every target begins with the decoder start id "
            f"{special_ids.target.decoder_start}: encode_target must not add it, because "
            "targets are shifted here"
        )
    return encoded


def _ids(
    pairs: Iterable[Any],
    preprocessor: Preprocessor | None,
    special_ids: SpecialIds,
    frontend: Frontend | None,
) -> Iterator[tuple[int, Any, Sequence[int]]]:
    """Yields number, source ids and target ids of each pair; an empty text has no ids."""
    numbered = iter(enumerate(pairs))
    total = len(pairs) if isinstance(pairs, Sized) else None
    with tqdm(
        desc="encoding", total=total, unit=" pairs", delay=1, leave=False, file=sys.stderr
    ) as bar:
        while chunk := list(itertools.islice(numbered, CHUNK)):
            for number, pair in chunk:
                _check_pair(number, pair)
            if preprocessor is None:
                for number, pair in chunk:
                    where = f"pair {number} (counted from 0)"
                    source: Any = pair[0]
                    if is_array(source, frontend):
                        source = checked_array(f"{where}: source", source, frontend)
                    else:
                        source = ids_of_data(f"{where}: source", source)
                    target = ids_of_data(f"{where}: target", pair[1])
                    _check_raw_target(number, target, special_ids)
                    yield number, source, target
            else:
                yield from _encoded(chunk, preprocessor, frontend)
            bar.update(len(chunk))


def _encoded(
    chunk: list[tuple[int, Any]], preprocessor: Preprocessor, frontend: Frontend | None
) -> Iterator[tuple[int, Any, Sequence[int]]]:
    for number, pair in chunk:
        for side, text in zip(("source", "target"), pair, strict=True):
            if not isinstance(text, str) and not (side == "source" and is_array(text, frontend)):
                raise DataError(
                    f"pair {number} (counted from 0): {side} is a {type(text).__name__}, "
                    "expected text; for pairs of ids pass special_ids and no preprocessor"
                )
    full = [
        (n, s, t)
        for n, (s, t) in chunk
        if not ((isinstance(s, str) and is_blank(s)) or is_blank(t))
    ]
    texts = [source for _, source, _ in full if isinstance(source, str)]
    of_texts = iter(preprocessor.encode_source(texts))
    sources = [
        next(of_texts)
        if isinstance(source, str)
        else checked_array(f"pair {number} (counted from 0): source", source, frontend)
        for number, source, _ in full
    ]
    targets = preprocessor.encode_target([target for _, _, target in full])
    ids = {
        number: (source, target)
        for (number, _, _), source, target in zip(full, sources, targets, strict=True)
    }
    for number, _ in chunk:
        yield number, *ids.get(number, ((), ()))


def _check_pair(number: int, pair: Any) -> None:
    if isinstance(pair, (str, bytes, dict)) or not hasattr(pair, "__len__") or len(pair) != 2:
        shown = repr(pair)
        raise DataError(
            f"pair {number} (counted from 0): expected a source and a target, got "
            f"{shown if len(shown) <= 80 else shown[:77] + '...'}"
        )


def is_array(source: Any, frontend: Frontend | None) -> bool:
    """Returns whether a source is an array that a frontend reads, not a text or a list of ids.

    Without a frontend, numbers that are whole by their type are ids, however they are nested.
    """
    if frontend is not None:
        return not frontend.reads_text
    if isinstance(source, str | bytes) or source is None:
        return False
    if isinstance(source, list | tuple) and source and isinstance(source[0], int):
        return False
    try:
        array = np.asarray(source)
    except (TypeError, ValueError):  # rows of several lengths
        return False
    return array.ndim >= 2 and array.dtype.kind == "f"


def checked_array(where: str, source: Any, frontend: Frontend | None) -> np.ndarray:
    """Returns a source as the array that a frontend reads, or as feature vectors `[S, F]`.

    Raises:
        DataError: another shape, or numbers that are not finite; the message begins with `where`.
    """
    if frontend is not None:
        try:
            return np.asarray(frontend.row(source, where))
        except ValueError as error:
            raise DataError(str(error)) from None
    array = np.asarray(source, dtype="float32")
    if array.ndim != 2:
        raise DataError(
            f"{where} has shape {array.shape}, expected feature vectors [length, features]"
        )
    if not np.isfinite(array).all():
        raise DataError(f"{where} holds numbers that are not finite (NaN or infinite)")
    return array


def _check_kind(number: int, source: Any, sources: RaggedIds | RaggedArrays) -> None:
    """Raises an error for sources of two kinds, or of two shapes, in one data set."""
    shape = source.shape[1:] if isinstance(source, np.ndarray) else ()
    wanted = tuple(sources.source.shape) if isinstance(sources, RaggedArrays) else ()
    arrays = isinstance(source, np.ndarray), isinstance(sources, RaggedArrays)
    if shape != wanted or arrays[0] != arrays[1]:
        kinds = [
            f"feature vectors of {' x '.join(map(str, size))} numbers" if size else "ids"
            for size in (shape, wanted)
        ]
        raise DataError(
            f"pair {number} (counted from 0): the source is {kinds[0]}, those before it {kinds[1]}"
        )


def ids_of_data(where: str, ids: Any) -> list[int]:
    """Returns the ids of a side of a pair as a list.

    Raises:
        DataError: it is something else; the message begins with `where`.
    """
    if isinstance(ids, str):
        raise DataError(f"{where} is text, expected ids; for texts pass a preprocessor")
    try:
        found: list[int] = flat_ids(where, ids).tolist()
    except ValueError as error:
        raise DataError(str(error)) from None
    return found


def _check_raw_target(number: int, ids: list[int], special_ids: SpecialIds) -> None:
    """Raises an error for raw ids that look shifted or padded."""
    target = special_ids.target
    where = f"pair {number} (counted from 0)"
    if len(ids) > 1 and ids[0] == target.decoder_start and not start_may_be_label(special_ids):
        raise DataError(
            f"{where}: the target begins with the decoder start id {target.decoder_start}, so "
            "it looks already shifted; give raw targets without it, they are shifted here"
        )
    first = 1 if target.eos in (target.bos, target.forced_bos) else 0
    if target.eos in ids[first:-1]:
        raise DataError(
            f"{where}: the EOS id {target.eos} stands at position "
            f"{ids.index(target.eos, first)} of {len(ids)} target ids, so the target looks "
            "padded; give it without padding, EOS last"
        )
