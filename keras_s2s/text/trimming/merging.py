"""Finds the pieces that byte-pair merges make on the way to other pieces.

A piece of a BPE model is made of its characters by merges, the best-ranked pair of neighbours
first. A merge is never undone, so the merges inside a piece of a text are those that make the piece
alone: with all of their results kept, a text of kept pieces is split as before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

#: Of two neighbours: the rank of their merge and what it makes; None where there is none.
Rank = Callable[[str, str], tuple[float, str] | None]


def made_by_merges(symbols: Sequence[str], rank: Rank) -> set[str]:
    """Returns the first symbols of a piece and all that merges make of them, the last one included.

    Args:
        symbols: what the piece is made of before any merge.
        rank: the merge of two neighbours; the lowest rank is merged first, the leftmost of equals.

    Example:
        >>> ranks = {("a", "b"): 0, ("ab", "c"): 1}
        >>> def rank(first, second):
        ...     number = ranks.get((first, second))
        ...     return None if number is None else (number, first + second)
        >>> sorted(made_by_merges("abc", rank))
        ['a', 'ab', 'abc', 'b', 'c']
    """
    line = list(symbols)
    made = set(line)
    while True:
        best: tuple[float, int, str] | None = None
        for place in range(len(line) - 1):
            merge = rank(line[place], line[place + 1])
            if merge is not None and (best is None or merge[0] < best[0]):
                best = merge[0], place, merge[1]
        if best is None:
            return made
        _, place, symbol = best
        line[place : place + 2] = [symbol]
        made.add(symbol)
