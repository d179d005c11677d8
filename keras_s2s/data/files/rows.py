"""Pairs of rows that name their sides: JSON objects, and rows of data sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from keras_s2s.data.errors import DataError


def pair_of_row(
    row: Mapping[str, Any], source_key: str, target_key: str, where: str
) -> tuple[str, str]:
    """Returns the two texts of a row, also where they are nested under `translation`."""
    nested = row.get("translation")
    if source_key not in row and target_key not in row and isinstance(nested, Mapping):
        row = nested
        where = f"{where}, translation"
    for key in (source_key, target_key):
        if key not in row:
            raise DataError(
                f"{where}: no key {key!r}, but {listed(row)}; name the keys with source_key "
                "and target_key"
            )
    return text_of(row[source_key], source_key, where), text_of(row[target_key], target_key, where)


def text_of(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(
            f"{where}: {name} is {shortened(repr(value))} ({type(value).__name__}), expected text"
        )
    try:
        # JSON can spell half of a surrogate pair, which no encoding accepts.
        if not value.isascii():
            value.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(
            f"{where}: {name} holds an unpaired surrogate, which is no character: "
            f"{shortened(ascii(value))}"
        ) from None
    return value


def shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def listed(names: Iterable[Any]) -> str:
    return ", ".join(repr(name) for name in names) or "nothing"
