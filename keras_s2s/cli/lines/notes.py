"""Reports on standard error which lines have no generated text, or were cut."""

from __future__ import annotations

import sys

#: Most lines that are named one by one; of more, the number is reported.
NAMED = 20


class LineNotes:
    """Collects problems of lines, and reports the first of them at once."""

    def __init__(self) -> None:
        self.failed = 0
        self.cut = 0
        self.divided = 0

    def fail(self, place: str, problem: str) -> None:
        """Reports a line for which nothing was generated."""
        self.failed += 1
        if self.failed <= NAMED:
            print(f"keras-s2s: error: {place} {problem}", file=sys.stderr)

    def shorten(self, place: str, problem: str) -> None:
        """Reports a line that was cut."""
        self.cut += 1
        if self.cut <= NAMED:
            print(f"keras-s2s: {place} {problem}; it is cut to fit", file=sys.stderr)

    def divide(self, place: str, problem: str, parts: int) -> None:
        """Reports a line that was generated in parts."""
        self.divided += 1
        if self.divided <= NAMED:
            print(f"keras-s2s: {place} {problem}; it is split into {parts} parts", file=sys.stderr)

    def close(self, lines: int, outcome: str = "their output is blank") -> None:
        """Reports how many lines were cut or split, and raises an error if some have no text.

        Args:
            lines: how many there were.
            outcome: what is written for lines that have no text.

        Raises:
            ValueError: there are lines for which nothing was generated.
        """
        if self.cut > NAMED:
            print(f"keras-s2s: {self.cut} of {lines} lines were cut", file=sys.stderr)
        if self.divided > NAMED:
            print(f"keras-s2s: {self.divided} of {lines} lines were split", file=sys.stderr)
        if self.failed:
            raise ValueError(f"nothing was generated for {self.failed} of {lines} lines; {outcome}")
