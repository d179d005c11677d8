"""Reads pairs from JSON lines, or from a JSON array of pairs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_s2s.data.errors import DataError
from keras_s2s.data.files.rows import pair_of_row, shortened, text_of
from keras_s2s.data.files.text_files import text_lines
from keras_s2s.data.files.text_pairs import is_blank


def json_pairs(
    path: Path, source_key: str, target_key: str, *, lists: bool
) -> Iterator[tuple[str, str]]:
    """Reads JSON lines, or one array over all lines; with `lists`, a line may be a list of two
    texts.
    """
    lines = list(text_lines(path))
    first = next((line.lstrip() for line in lines if not is_blank(line)), "")
    if first.startswith("["):
        array = _array(path, lines)
        if array is not None:
            for number, element in enumerate(array):
                where = f"{path}, element {number} (counted from 0)"
                yield _pair(element, source_key, target_key, where)
            return
    for number, line in enumerate(lines, 1):
        if is_blank(line):
            yield "", ""
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{where}: not valid JSON ({error}): {shortened(line)}; expected one object a "
                "line, or one array over the whole file"
            ) from None
        yield _pair(row, source_key, target_key, where, lists=lists)


def _array(path: Path, lines: list[str]) -> list[Any] | None:
    """Returns the array that a file consists of; None where its lines are JSON texts of their
    own.
    """
    try:
        array = json.loads("\n".join(lines))
    except (ValueError, RecursionError) as error:
        try:
            first = json.loads(next(line for line in lines if not is_blank(line)))
        except (ValueError, RecursionError):
            first = None
        # `["a", "b"]` on the first line and more below it.
        if isinstance(first, list):
            return None
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise DataError(
            f"{path}, line {line}: not valid JSON ({error}); expected an array of pairs, or "
            "one object a line"
        ) from None
    # One line `["a", "b"]` is a pair, not an array of them.
    return None if array and all(isinstance(element, str) for element in array) else array


def _pair(
    row: Any, source_key: str, target_key: str, where: str, *, lists: bool = True
) -> tuple[str, str]:
    if lists and isinstance(row, list) and len(row) == 2:
        return text_of(row[0], "source", where), text_of(row[1], "target", where)
    if not isinstance(row, dict):
        raise DataError(
            f"{where}: expected a JSON object with the keys {source_key!r} and {target_key!r}"
            f"{' or a list of two texts' if lists else ''}, got "
            f"{shortened(json.dumps(row, ensure_ascii=False))}"
        )
    return pair_of_row(row, source_key, target_key, where)
