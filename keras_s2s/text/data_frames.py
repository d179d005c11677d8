"""Reads rows of a DataFrame of pandas or Polars, a table in memory.

Tables are recognised by their methods: neither library is imported. Iterating over a table itself
gives the names of its columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


def is_table(data: Any) -> bool:
    """Returns whether something is a DataFrame."""
    return hasattr(data, "columns") and (hasattr(data, "itertuples") or hasattr(data, "iter_rows"))


def pair_columns(table: Any, source_key: str = "source", target_key: str = "target") -> list[Any]:
    """Returns the columns of source and target: those with these names, or else the only two.

    Raises:
        ValueError: there are no such columns.

    Example:
        >>> import pandas
        >>> pair_columns(pandas.DataFrame({"en": ["a"], "de": ["b"]}))
        ['en', 'de']
    """
    columns = list(table.columns)
    if columns.count(source_key) == columns.count(target_key) == 1 and source_key != target_key:
        return [source_key, target_key]
    if len(columns) == 2 and (source_key, target_key) == ("source", "target"):
        return columns
    raise ValueError(
        f"the table has {len(columns)} columns ({', '.join(map(repr, columns[:8]))}); expected "
        f"{source_key!r} and {target_key!r}, or just two: take them with table[['en', 'de']], or "
        "name them with data.read_pairs(pairs=table, source_key=..., target_key=...)"
    )


def table_rows(table: Any, columns: Sequence[Any] | None = None) -> Iterator[tuple[Any, ...]]:
    """Yields the rows of a table as tuples; a missing value is "", as for an empty cell of a file.

    Args:
        table: a DataFrame.
        columns: which, and in which order; None takes all.
    """
    names = list(table.columns)
    places = [names.index(name) for name in (names if columns is None else columns)]
    polars = hasattr(table, "iter_rows")
    rows = table.iter_rows() if polars else table.itertuples(index=False, name=None)
    for row in rows:
        yield tuple("" if _is_missing(row[place]) else row[place] for place in places)


def pairs_of(data: Any) -> Any:
    """Returns the pairs of a table, in its order; anything else unchanged.

    Raises:
        ValueError: the table has other columns.
    """
    return list(table_rows(data, pair_columns(data))) if is_table(data) else data


def texts_of(data: Any) -> Any:
    """Returns the texts of a table with one column; anything else unchanged.

    Raises:
        ValueError: the table has more columns, or none.
    """
    if not is_table(data):
        return data
    columns = list(data.columns)
    if len(columns) != 1:
        raise ValueError(
            f"the table has {len(columns)} columns ({', '.join(map(repr, columns[:8]))}); expected "
            "one of texts: take it with table['text']"
        )
    return [row[0] for row in table_rows(data)]


def _is_missing(value: Any) -> bool:
    # pandas.NA compares to nothing, and NaN not even to itself.
    return (
        value is None
        or type(value).__name__ == "NAType"
        or (isinstance(value, float) and value != value)
    )
