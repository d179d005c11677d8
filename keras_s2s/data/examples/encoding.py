"""Encodes pairs before the first batch: checks, counts, and cuts them where asked.

`given_pairs.py` reads what the caller gives, `encoded_pairs.py` is the result. Shifting for teacher
forcing comes later, when a batch is made (`data/batches.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from keras_s2s.config import SpecialIds
from keras_s2s.data.checks.shifted_labels import start_may_be_label
from keras_s2s.data.errors import DataError
from keras_s2s.data.examples.encoded_pairs import BatchReport, EncodedPairs
from keras_s2s.data.examples.given_pairs import ids_of_pairs
from keras_s2s.data.examples.ragged import RaggedArrays, RaggedIds
from keras_s2s.layers.contracts import Frontend, SourceInput
from keras_s2s.text.data_frames import pairs_of
from keras_s2s.text.truncation import Overlong, Side, truncated

if TYPE_CHECKING:
    from keras_s2s.text.preprocessor import Preprocessor

#: What is done with a pair of which a side is too long.
OverlongPairs = Literal["drop", Overlong]


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
    limits = _Limits(max_source_length, max_target_length, overlong, preprocessor, special_ids)
    report = encoded.report
    started = 0  # targets that begin with the decoder start
    for number, source, target in ids_of_pairs(pairs, preprocessor, special_ids, frontend):
        report.read += 1
        if len(source) == 0 or len(target) == 0:
            report.empty += 1
            continue
        _check_ends_in_eos(number, target, special_ids.target.eos)
        starts = len(target) > 1 and target[0] == special_ids.target.decoder_start
        too_long = limits.exceeded(source, target)
        if too_long:
            limits.count(number, source, target, too_long, report)
            if overlong == "drop":
                continue
            row = len(encoded.targets)
            encoded.cut |= {(row, side) for side in too_long}
            source, target = limits.cut(number, source, target, too_long)
        if isinstance(source, np.ndarray) and not len(encoded.sources) and frontend is None:
            kind = SourceInput("encoder_features", "float32", source.shape[1:])
            encoded.sources = RaggedArrays(kind)
        _check_kind(number, source, encoded.sources)
        encoded.sources.append(source)
        encoded.targets.append(target)
        encoded.numbers.append(number)
        started += starts

    if report.kept == 0:
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


@dataclass(frozen=True)
class _Limits:
    """Most ids of a source and of a target, and what is done with pairs that have more."""

    source: int | None
    target: int | None
    overlong: OverlongPairs
    preprocessor: Preprocessor | None
    special_ids: SpecialIds

    def __str__(self) -> str:
        return f"max_source_length={self.source}, max_target_length={self.target}"

    def exceeded(self, source: Any, target: Any) -> list[Side]:
        """Returns the sides of a pair that are too long."""
        sides: list[Side] = []
        if self.source is not None and len(source) > self.source:
            sides.append("source")
        if self.target is not None and len(target) > self.target:
            sides.append("target")
        return sides

    def count(
        self, number: int, source: Any, target: Any, sides: Sequence[Side], report: BatchReport
    ) -> None:
        """Counts a pair of which `sides` are too long.

        Raises:
            DataError: such a pair is an error.
        """
        if self.overlong == "error":
            raise DataError(
                f"pair {number} (counted from 0): source of {len(source)} and target of "
                f"{len(target)} ids, but max_source_length is {self.source} and "
                f"max_target_length {self.target}; raise them, or choose "
                "overlong='drop' or 'truncate'"
            )
        report.overlong_source += "source" in sides
        report.overlong_target += "target" in sides
        if self.overlong == "drop":
            report.overlong_dropped += 1
        else:
            report.truncated += 1

    def cut(self, number: int, source: Any, target: Any, sides: Sequence[Side]) -> tuple[Any, Any]:
        """Returns a pair with `sides` cut to their limits, special ids around the text kept.

        Raises:
            DataError: cutting leaves no text.
        """
        if "source" in sides:
            source = self._cut_side(number, "source", source, self.source)
        if "target" in sides:
            target = self._cut_side(number, "target", target, self.target)
        return source, target

    def _cut_side(self, number: int, side: Side, ids: Any, length: int | None) -> Any:
        assert length is not None
        if isinstance(ids, np.ndarray):
            return ids[:length]
        options: dict[str, Any] = {}
        if (tokenizer := getattr(self.preprocessor, side, None)) is not None:
            options = {"cut": tokenizer.truncation_side, "ends_once": tokenizer.ends_once}
        try:
            return truncated(ids, length, self.special_ids, side, **options)
        except ValueError as error:
            raise DataError(
                f"pair {number} (counted from 0), max_{side}_length={length}: {error}"
            ) from None


def _check_ends_in_eos(number: int, target: Sequence[int], eos: int) -> None:
    if target[-1] != eos:
        raise DataError(
            f"pair {number} (counted from 0): the target ends in id {target[-1]}, expected "
            f"the EOS id {eos}; without it the model never learns to stop. Append "
            "it to every target"
        )


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
