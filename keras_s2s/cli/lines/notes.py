"""Says on standard error which lines have no answer, or not the whole of their text in it."""

from __future__ import annotations

import sys

#: Lines that are named one by one; of more the number is said.
NAMED = 20


class LineNotes:
    """Collects what is wrong with lines, and names the first of them at once."""

    def __init__(self) -> None:
        self.failed = 0
        self.cut = 0

    def fail(self, place: str, problem: str) -> None:
        """A line that has no answer."""
        self.failed += 1
        if self.failed <= NAMED:
            print(f"keras-s2s: error: {place} {problem}", file=sys.stderr)

    def shorten(self, place: str, problem: str) -> None:
        """A line of which only the beginning is answered."""
        self.cut += 1
        if self.cut <= NAMED:
            print(f"keras-s2s: {place} {problem}; it is cut to fit", file=sys.stderr)

    def close(self, lines: int, outcome: str = "their output is blank") -> None:
        """Say what was not named.

        Args:
            lines: how many there were.
            outcome: what becomes of lines without an answer.

        Raises:
            ValueError: lines have no answer.
        """
        if self.cut > NAMED:
            print(f"keras-s2s: {self.cut} of {lines} lines were cut", file=sys.stderr)
        if self.failed:
            raise ValueError(f"{self.failed} of {lines} lines without an answer; {outcome}")
