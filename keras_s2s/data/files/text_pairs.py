"""Pairs of texts as they were read, and the report of those that were left out."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from keras_s2s.data.errors import DataError
from keras_s2s.data.files.delimited import QuoteReport

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairReport:
    """Counts of the pairs that were read and dropped.

    Attributes:
        origin: the file or collection they came from.
        read: pairs in the input.
        empty_source: dropped, because only the source held no text.
        empty_target: dropped, because only the target held no text.
        empty_both: dropped, because neither side held text.
        unquoted: cells of a TSV or CSV file whose quotes a CSV writer had put around them.
        kept_quotes: cells that look so, in a file where others do not; they were kept as text.
    """

    origin: str
    read: int
    empty_source: int = 0
    empty_target: int = 0
    empty_both: int = 0
    unquoted: int = 0
    kept_quotes: int = 0

    @property
    def dropped(self) -> int:
        """Pairs that were left out."""
        return self.empty_source + self.empty_target + self.empty_both

    @property
    def kept(self) -> int:
        """Pairs that were returned."""
        return self.read - self.dropped

    def __str__(self) -> str:
        text = f"{self.origin}: {self.read} pairs read, {self.kept} kept"
        reasons = [
            f"{count} with an empty {side}"
            for count, side in (
                (self.empty_source, "source"),
                (self.empty_target, "target"),
                (self.empty_both, "source and target"),
            )
            if count
        ]
        text = f"{text}; dropped {', '.join(reasons)}" if reasons else text
        if self.unquoted:
            text += (
                f"; quotes around {self.unquoted} cells were taken as a CSV writer's (quotes=False "
                "keeps them)"
            )
        if self.kept_quotes:
            text += (
                f"; quotes of {self.kept_quotes} cells that look like a CSV writer's were kept as "
                "text (quotes=True takes them off)"
            )
        return text


class TextPairs(list[tuple[str, str]]):
    """A list of (source, target) texts with the `report` of how it was read."""

    def __init__(self, pairs: Iterable[tuple[str, str]], report: PairReport) -> None:
        super().__init__(pairs)
        self.report = report


def is_blank(text: str) -> bool:
    """Returns whether a text holds nothing but whitespace."""
    return not text or text.isspace()


def without_empty(
    found: Iterable[tuple[str, str]], origin: str, quoted: QuoteReport | None = None
) -> TextPairs:
    """Returns pairs without those that have an empty side, which are counted and logged.

    Raises:
        DataError: no pair is left.
    """
    quoted = quoted or QuoteReport()
    kept = []
    empty = {(True, False): 0, (False, True): 0, (True, True): 0}
    for pair in found:
        blank = (is_blank(pair[0]), is_blank(pair[1]))
        if blank == (False, False):
            kept.append(pair)
        else:
            empty[blank] += 1
    report = PairReport(
        origin=origin,
        read=len(kept) + sum(empty.values()),
        empty_source=empty[True, False],
        empty_target=empty[False, True],
        empty_both=empty[True, True],
        unquoted=quoted.unquoted,
        kept_quotes=quoted.kept,
    )
    if not kept:
        raise DataError(f"{report}; there is nothing to use")
    notable = report.dropped or report.unquoted or report.kept_quotes
    logger.log(logging.WARNING if notable else logging.INFO, "%s", report)
    return TextPairs(kept, report)
