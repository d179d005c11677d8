"""Adds special ids to rows of ids, and removes them."""

from __future__ import annotations

from typing import Any


def surround(
    rows: list[list[int]], bos: int | None, eos: int | None, *, once: bool = False
) -> list[list[int]]:
    """Puts BOS before and EOS after each row; with `once` no second EOS after one that is there."""
    before = [] if bos is None else [bos]
    after = [] if eos is None else [eos]
    return [before + row + ([] if once and row[-1:] == after else after) for row in rows]


def without_special(row: list[int], eos: int | None, dropped: set[int | None]) -> list[int]:
    """Returns the ids before the first EOS, without those in `dropped`."""
    if eos is not None and eos in row:
        row = row[: row.index(eos)]
    return [i for i in row if i not in dropped]


def id_row(ids: Any) -> list[int]:
    if hasattr(ids, "tolist"):
        ids = ids.tolist()
    row = list(ids)
    if row and hasattr(row[0], "__len__") and not isinstance(row[0], str):
        raise TypeError("expected the ids of one text, got several rows; pass one row")
    return row


def id_rows(ids: Any) -> list[list[int]]:
    if hasattr(ids, "tolist"):
        ids = ids.tolist()
    rows = []
    for row in ids:
        if hasattr(row, "tolist"):
            row = row.tolist()
        if not hasattr(row, "__iter__") or isinstance(row, str):
            raise TypeError(
                f"expected rows of ids [batch, length], got {row!r} as a row; "
                "wrap the ids of a single text in a list"
            )
        rows.append(list(row))
    return rows
