"""Writes generated texts as lines: plain, with scores, or as JSON; to standard output or a file."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from keras_s2s.atomic_writing import replaced_file
from keras_s2s.cli.lines.generation import LineResult

#: What ends a line for some reader, and JSON does not escape.
_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def plain_lines(result: LineResult, count: int) -> list[str]:
    """Returns a line for each of `count` generated texts; blank where there is none."""
    texts = [one_line(each.text) for each in result.texts]
    return texts or [""] * count


def scored_lines(result: LineResult, count: int) -> list[str]:
    """Returns the lines of `plain_lines`, with the score and a tab before each text."""
    rows = [
        f"{'' if each.score is None else f'{each.score:.6f}'}\t{one_line(each.text)}"
        for each in result.texts
    ]
    return rows or ["\t"] * count


def json_line(result: LineResult) -> str:
    """Returns a JSON object for a line: `source`, `answers` and, after an error, `error`."""
    entry: dict[str, Any] = {
        "source": result.line.text,
        "answers": [
            {
                "text": each.text,
                "score": _short(each.score),
                "log_prob": _short(each.log_prob),
            }
            for each in result.texts
        ],
    }
    if result.problem is not None:
        entry["error"] = f"{result.line.place} {result.problem}"
    return json.dumps(entry, ensure_ascii=False).translate(_LINE_ENDS)


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def one_line(text: str) -> str:
    """Returns a text without line breaks, which would shift all lines that follow."""
    return " ".join(text.splitlines())


@contextlib.contextmanager
def line_writer(path: Path | None) -> Iterator[TextIO]:
    """Yields standard output, or a UTF-8 file that appears under its name once it is complete."""
    if path is None:
        yield sys.stdout
        return
    with replaced_file(path) as beside:
        try:
            file = open(beside, "w", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            # Named as the user knows it.
            raise OSError(error.errno, error.strerror, str(path)) from None
        with file:
            yield file
