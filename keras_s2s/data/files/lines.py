"""Reads texts from a file, one a line."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from keras_s2s.data.errors import DataError
from keras_s2s.data.files.text_files import text_lines
from keras_s2s.data.files.text_pairs import is_blank

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LineReport:
    """Counts of the lines that were read and dropped.

    Attributes:
        origin: where they came from.
        read: lines in the file.
        empty: lines that were dropped, because they held no text.
    """

    origin: str
    read: int
    empty: int = 0

    @property
    def kept(self) -> int:
        """Lines that were returned."""
        return self.read - self.empty

    def __str__(self) -> str:
        text = f"{self.origin}: {self.read} lines read, {self.kept} kept"
        return f"{text}; dropped {self.empty} empty" if self.empty else text


class TextLines(list[str]):
    """A list of texts with the `report` of how it was read."""

    def __init__(self, texts: Iterable[str], report: LineReport) -> None:
        super().__init__(texts)
        self.report = report


def read_lines(path: str | os.PathLike[str]) -> TextLines:
    """Reads texts, one a line. Empty lines are dropped, counted and logged.

    Args:
        path: a UTF-8 file, with or without a byte order mark, plain or compressed with gzip.

    Raises:
        DataError: the file is missing, damaged or not UTF-8, or holds no text. The message
            names file and line.

    Example:
        >>> texts = read_lines("train.txt.gz")
        >>> texts.report.kept
        160
    """
    lines = list(text_lines(Path(path)))
    kept = [line for line in lines if not is_blank(line)]
    report = LineReport(os.fspath(path), len(lines), len(lines) - len(kept))
    if not kept:
        raise DataError(f"{report}; there is nothing to use")
    logger.log(logging.WARNING if report.empty else logging.INFO, "%s", report)
    return TextLines(kept, report)
