"""The error about rows of a call that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping


class RowError(ValueError):
    """Raised for rows of a call that cannot be used; the message names the first one.

    A caller that knows where the rows came from can report that, and continue with the others.

    Args:
        side: "source" or "target".
        reasons: for each such row, its number in the call and what is wrong with it.
        remedy: what to do.
        overlong: whether they are only too long.

    Example:
        >>> str(RowError("source", {3: "is empty"}, remedy="leave it out"))
        'source 3 is empty; leave it out'
    """

    def __init__(
        self, side: str, reasons: Mapping[int, str], *, remedy: str = "", overlong: bool = False
    ) -> None:
        self.side = side
        self.reasons = dict(reasons)
        self.overlong = overlong
        number, reason = next(iter(self.reasons.items()))
        super().__init__(f"{side} {number} {reason}" + (f"; {remedy}" if remedy else ""))
