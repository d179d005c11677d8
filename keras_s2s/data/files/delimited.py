"""Reads pairs from TSV and CSV files, and decides whether quotes are text or were added by a
writer.

A TSV of sentences may hold quotes that are text, `"Go!" he said.`; one that pandas or another CSV
writer wrote has them around cells that contain a quote, a tab or a line break, with inner quotes
doubled: `"He said ""yes""."` The rows are written again to tell which is the case: if the result
equals the file, a CSV writer made it.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from keras_s2s.data.errors import DataError
from keras_s2s.data.files.text_files import text_lines

logger = logging.getLogger(__name__)

#: The names of a header that is known as one.
HEADER = ("source", "target")


class Row(NamedTuple):
    """Cells of a row, and the line of the file on which it ends."""

    line: int
    cells: list[str]


@dataclass
class QuoteReport:
    """How many cells were unquoted, and in how many quotes were kept.

    Attributes:
        unquoted: cells whose quotes were a CSV writer's, and are not part of the text.
        kept: cells that look as if a CSV writer had quoted them, in a file that is not all of one:
            their quotes were kept as text.
    """

    unquoted: int = 0
    kept: int = 0


def delimited_pairs(
    path: Path,
    delimiter: str,
    columns: tuple[int, int] | None,
    quotes: bool | None,
    report: QuoteReport,
) -> Iterator[tuple[str, str]]:
    """Yields source and target of each row.

    Args:
        path: the file.
        delimiter: a tab or a comma.
        columns: of source and target, counted from 0; None takes those that a header names
            source and target, or else the only two.
        quotes: whether a CSV writer quoted cells; None finds out.
        report: filled while reading.

    Raises:
        DataError: the file cannot be read, or a row has not these columns.
    """
    if columns is not None and (len(columns) != 2 or min(columns) < 0):
        raise ValueError(f"columns is {columns}; expected two column numbers from 0 on")
    lines = list(text_lines(path))
    if quotes is None:
        quotes = _written_by_a_writer(lines, delimiter)
    if quotes:
        rows = _quoted_rows(path, lines, delimiter)
        report.unquoted = _opening_quotes("".join(_with_ends(lines)), delimiter)
    else:
        rows = [Row(number, line.split(delimiter)) for number, line in enumerate(lines, 1)]
        report.kept = sum(_looks_quoted(cell) for row in rows for cell in row.cells)
    rows, columns = _without_header(path, rows, columns)
    for row in rows:
        yield _pair(path, row, columns)


def _pair(path: Path, row: Row, columns: tuple[int, int] | None) -> tuple[str, str]:
    cells, where = row.cells, f"{path}, line {row.line}"
    if not any(cell.strip() for cell in cells):
        return "", ""
    shown = _shortened("\t".join(cells))
    if columns is not None:
        if len(cells) <= max(columns):
            raise DataError(
                f"{where}: {len(cells)} columns, but columns={columns} needs at least "
                f"{max(columns) + 1}: {shown}"
            )
        return cells[columns[0]], cells[columns[1]]
    if len(cells) == 1 and ".csv" in path.suffixes and ";" in cells[0]:
        raise DataError(
            f"{where}: 1 column, expected 2 (source, target): {shown}. Columns seem to be "
            "separated by semicolons; save the file with commas, or as a TSV with tabs"
        )
    if len(cells) != 2:
        raise DataError(
            f"{where}: {len(cells)} columns, expected 2 (source, target): {shown}. For a file "
            "with more columns say which ones, e.g. columns=(0, 1)"
        )
    return cells[0], cells[1]


def _without_header(
    path: Path, rows: list[Row], columns: tuple[int, int] | None
) -> tuple[list[Row], tuple[int, int] | None]:
    """Returns the rows below a header, and the columns it names."""
    if not rows:
        return rows, columns
    names = [cell.strip().lower() for cell in rows[0].cells]
    if all(names.count(name) == 1 for name in HEADER):
        if columns is None:
            columns = (names.index(HEADER[0]), names.index(HEADER[1]))
        logger.info("%s: line 1 names the columns", path)
        return rows[1:], columns
    chosen = names if columns is None else [names[i] for i in columns if i < len(names)]
    if len(rows) > 1 and len(chosen) == 2 and _look_like_names(chosen, rows[1:]):
        logger.warning(
            "%s: line 1 (%s) looks like the names of columns, but is read as a pair; remove it, or "
            "write source and target there",
            path,
            ", ".join(rows[0].cells),
        )
    return rows, columns


def _look_like_names(cells: Sequence[str], below: Sequence[Row]) -> bool:
    """Returns whether a first row names columns: languages, or two single words above rows of
    several.
    """
    if all(map(_is_language, cells)):
        return True
    several = sum(any(" " in cell.strip() for cell in row.cells) for row in below)
    return all(cell.isidentifier() for cell in cells) and 2 * several > len(below)


def _is_language(name: str) -> bool:
    """Returns whether a cell is a language's code (`en`, `de_DE`) or another usual name of a
    column.
    """
    code, _, region = name.replace("-", "_").partition("_")
    if name in ("src", "tgt", "trg", "input", "output", "text", "summary", "label"):
        return True
    return code.isascii() and code.isalpha() and 2 <= len(code) <= 3 and len(region) in (0, 2, 4)


# --------------------------------------------------------------------------------------
# Quotes
# --------------------------------------------------------------------------------------


def _written_by_a_writer(lines: Sequence[str], delimiter: str) -> bool:
    """Returns whether quotes are exactly where a CSV writer puts them."""
    if not any('"' in line for line in lines):
        return False
    try:
        rows = list(csv.reader(_with_ends(lines), delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    text = "".join(_with_ends(lines))
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        # One row of quoted cells may as well be direct speech.
        if quoting == csv.QUOTE_ALL and len(rows) < 2:
            continue
        again = io.StringIO()
        csv.writer(again, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows(rows)
        if again.getvalue() == text:
            return True
    return False


def _quoted_rows(path: Path, lines: Sequence[str], delimiter: str) -> list[Row]:
    reader = csv.reader(_with_ends(lines), delimiter=delimiter, strict=True)
    try:
        return [Row(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: quotes are not those of a CSV file ({error}); where "
            "they are part of the text, read the file with quotes=False"
        ) from None


def _opening_quotes(text: str, delimiter: str) -> int:
    """Returns the cells that a quote opens; inside of one, quotes are doubled."""
    count, inside, before = 0, False, "\n"
    for character in text:
        if character == '"':
            count += not inside and before in ("\n", delimiter)
            inside = not inside
        before = character
    return count


def _looks_quoted(cell: str) -> bool:
    """Returns whether a cell has quotes around it, and doubled ones inside."""
    inner = cell[1:-1]
    if len(cell) < 4 or cell[0] != '"' or cell[-1] != '"' or '""' not in inner:
        return False
    return '"' not in inner.replace('""', "")


def _with_ends(lines: Sequence[str]) -> list[str]:
    return [f"{line}\n" for line in lines]


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
