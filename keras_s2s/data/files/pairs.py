"""Reads text pairs from files, lists and Hugging Face datasets."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from tqdm import tqdm

from keras_s2s.data.errors import DataError
from keras_s2s.data.files.delimited import QuoteReport, delimited_pairs
from keras_s2s.data.files.text_files import text_lines
from keras_s2s.text.data_frames import is_table, pair_columns, table_rows

logger = logging.getLogger(__name__)

PairFormat = Literal["tsv", "csv", "jsonl", "json"]

_FORMAT_OF_SUFFIX: dict[str, PairFormat] = {
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
}


@dataclass(frozen=True)
class PairReport:
    """Counts of the pairs that were read and dropped.

    Attributes:
        origin: the file or collection they came from.
        read: pairs in the input.
        empty_source: dropped, because only the source held no text.
        empty_target: dropped, because only the target held no text.
        empty_both: dropped, because neither side held text.
        unquoted: cells of a TSV or CSV file whose quotes a CSV writer had put around them.
        kept_quotes: cells that look so, in a file where others do not; they were kept as text.
    """

    origin: str
    read: int
    empty_source: int = 0
    empty_target: int = 0
    empty_both: int = 0
    unquoted: int = 0
    kept_quotes: int = 0

    @property
    def dropped(self) -> int:
        """Pairs that were left out."""
        return self.empty_source + self.empty_target + self.empty_both

    @property
    def kept(self) -> int:
        """Pairs that were returned."""
        return self.read - self.dropped

    def __str__(self) -> str:
        text = f"{self.origin}: {self.read} pairs read, {self.kept} kept"
        reasons = [
            f"{count} with an empty {side}"
            for count, side in (
                (self.empty_source, "source"),
                (self.empty_target, "target"),
                (self.empty_both, "source and target"),
            )
            if count
        ]
        text = f"{text}; dropped {', '.join(reasons)}" if reasons else text
        if self.unquoted:
            text += (
                f"; quotes around {self.unquoted} cells were taken as a CSV writer's (quotes=False "
                "keeps them)"
            )
        if self.kept_quotes:
            text += (
                f"; quotes of {self.kept_quotes} cells that look like a CSV writer's were kept as "
                "text (quotes=True takes them off)"
            )
        return text


class TextPairs(list[tuple[str, str]]):
    """A list of (source, target) texts with the `report` of how it was read."""

    def __init__(self, pairs: Iterable[tuple[str, str]], report: PairReport) -> None:
        super().__init__(pairs)
        self.report = report


def read_pairs(
    source: str | os.PathLike[str] | None = None,
    target: str | os.PathLike[str] | None = None,
    pairs: Any = None,
    *,
    format: PairFormat | None = None,
    source_key: str = "source",
    target_key: str = "target",
    columns: tuple[int, int] | None = None,
    quotes: bool | None = None,
) -> TextPairs:
    """Reads text pairs. Pairs with an empty side are dropped, counted and logged.

    Give either `source` and `target`, or `pairs`. Files are UTF-8, with or without a byte
    order mark, and may be compressed with gzip.

    Args:
        source: file of source sentences, one a line.
        target: file of target sentences, line by line the counterpart of `source`.
        pairs: one of

            - a TSV or CSV file: source, tab or comma, target; a first line that names columns
              `source` and `target` says which they are;
            - a JSON-lines file of `{"source": ..., "target": ...}`, or a JSON file with an array
              of such objects or of lists `[source, target]`;
            - an iterable of (source, target) texts;
            - a pandas or Polars DataFrame with columns of these names, or two columns;
            - a Hugging Face `datasets` split, with a column a side or with a column
              `translation` of `{"en": ..., "de": ...}`.

        format: `"tsv"`, `"csv"`, `"jsonl"` or `"json"`, where the name of the pair file does not
            tell.
        source_key: key or column of the source in JSON lines and datasets; in the
            `translation` form its language, e.g. `"en"`.
        target_key: the same for the target.
        columns: source and target column of a TSV file, counted from 0, where it has more
            than these two; other columns are ignored.
        quotes: whether cells of a TSV or CSV file are quoted as CSV writers do; None finds out.
            Where not, quotes are text.

    Returns:
        list of (source, target) texts; its `report` has the counts.

    Raises:
        DataError: a file is missing, damaged or not UTF-8; two files differ in their number
            of lines; a line or element is not a pair; no pair is left. The message names
            file and line.
        ValueError: the arguments contradict each other.

    Example:
        >>> pairs = read_pairs("train.en.gz", "train.de.gz")
        >>> pairs.report.kept
        160
        >>> pairs = read_pairs(pairs="train.tsv", columns=(0, 2))
    """
    two_files = source is not None and target is not None
    if source is not None and target is None and pairs is None:
        raise ValueError(
            f"{os.fspath(source)!r} is given as source, a file of source sentences, and there is "
            f"no target; for one file that holds both sides pass pairs={os.fspath(source)!r}"
        )
    if two_files == (pairs is not None) or (source is None) != (target is None):
        raise ValueError("give either source and target (two line-aligned files), or pairs")
    if format not in (None, *get_args(PairFormat)):
        raise ValueError(f"format is {format!r}; expected 'tsv', 'csv', 'jsonl', 'json' or None")
    quoted = QuoteReport()

    if source is not None and target is not None:
        origin = f"{os.fspath(source)} + {os.fspath(target)}"
        found: Iterable[tuple[str, str]] = _line_aligned(Path(source), Path(target))
    elif isinstance(pairs, (str, os.PathLike)):
        path = Path(pairs)
        origin = str(path)
        kind = _format(path, format)
        if kind in ("tsv", "csv"):
            if (source_key, target_key) != ("source", "target"):
                raise ValueError(
                    f"{path}: source_key and target_key are for JSON lines; say which columns of "
                    "a TSV file to read by their numbers, e.g. columns=(0, 1)"
                )
            if quotes is None and kind == "csv":
                quotes = True
            found = delimited_pairs(path, "\t" if kind == "tsv" else ",", columns, quotes, quoted)
        elif columns is not None:
            raise ValueError(
                f"{path}: columns={columns} is for TSV files; name the keys of JSON lines with "
                "source_key and target_key"
            )
        elif quotes is not None:
            raise ValueError(f"{path}: quotes={quotes} is for TSV and CSV files")
        else:
            found = _json(path, source_key, target_key, lists=kind == "json")
    elif is_table(pairs):
        origin = "table"
        found = _in_memory(
            table_rows(pairs, pair_columns(pairs, source_key, target_key)), source_key, target_key
        )
    elif isinstance(pairs, Mapping):
        raise DataError(
            f"pairs is a mapping with the keys {_listed(pairs)}; pass one split of it, "
            f"such as dataset[{next(iter(pairs), 'train')!r}]"
        )
    elif hasattr(pairs, "column_names"):
        origin = "dataset"
        found = _dataset(pairs, source_key, target_key)
    else:
        origin = "pairs"
        found = _in_memory(pairs, source_key, target_key)
    return without_empty(found, origin, quoted)


def read_aligned(
    source: str | os.PathLike[str], target: str | os.PathLike[str]
) -> tuple[list[tuple[str, str]], TextPairs]:
    """Reads two files that correspond line by line, and keeps blank lines.

    Returns:
        every pair of lines, blank ones too; and those without an empty side, as `read_pairs`
        returns them.

    Raises:
        DataError: as `read_pairs` does.
    """
    lines = list(_line_aligned(Path(source), Path(target)))
    return lines, without_empty(lines, f"{os.fspath(source)} + {os.fspath(target)}")


def is_blank(text: str) -> bool:
    """Returns whether a text holds nothing but whitespace."""
    return not text or text.isspace()


def without_empty(
    found: Iterable[tuple[str, str]], origin: str, quoted: QuoteReport | None = None
) -> TextPairs:
    quoted = quoted or QuoteReport()
    """Returns pairs without those that have an empty side, which are counted and logged.

    Raises:
        DataError: no pair is left.
    """
    kept = []
    empty = {(True, False): 0, (False, True): 0, (True, True): 0}
    for pair in found:
        blank = (is_blank(pair[0]), is_blank(pair[1]))
        if blank == (False, False):
            kept.append(pair)
        else:
            empty[blank] += 1
    report = PairReport(
        origin=origin,
        read=len(kept) + sum(empty.values()),
        empty_source=empty[True, False],
        empty_target=empty[False, True],
        empty_both=empty[True, True],
        unquoted=quoted.unquoted,
        kept_quotes=quoted.kept,
    )
    if not kept:
        raise DataError(f"{report}; there is nothing to use")
    notable = report.dropped or report.unquoted or report.kept_quotes
    logger.log(logging.WARNING if notable else logging.INFO, "%s", report)
    return TextPairs(kept, report)


# --------------------------------------------------------------------------------------
# Files
# --------------------------------------------------------------------------------------


def _line_aligned(source: Path, target: Path) -> Iterable[tuple[str, str]]:
    sources = list(text_lines(source))
    targets = list(text_lines(target))
    if len(sources) != len(targets):
        raise DataError(
            f"{source} has {len(sources)} lines, but {target} has {len(targets)}; line n of "
            "one must be the counterpart of line n of the other, so their numbers must be "
            "equal. Nothing was read: look for the first lines that do not correspond"
        )
    return zip(sources, targets, strict=True)


def _json(
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
                yield _from_json(element, source_key, target_key, where)
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
                f"{where}: not valid JSON ({error}): {_shortened(line)}; expected one object a "
                "line, or one array over the whole file"
            ) from None
        yield _from_json(row, source_key, target_key, where, lists=lists)


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


def _from_json(
    row: Any, source_key: str, target_key: str, where: str, *, lists: bool = True
) -> tuple[str, str]:
    if lists and isinstance(row, list) and len(row) == 2:
        return _text(row[0], "source", where), _text(row[1], "target", where)
    if not isinstance(row, dict):
        raise DataError(
            f"{where}: expected a JSON object with the keys {source_key!r} and {target_key!r}"
            f"{' or a list of two texts' if lists else ''}, got "
            f"{_shortened(json.dumps(row, ensure_ascii=False))}"
        )
    return _from_row(row, source_key, target_key, where)


def _format(path: Path, format: PairFormat | None) -> PairFormat:
    if format is not None:
        return format
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    try:
        return _FORMAT_OF_SUFFIX[name.suffix.lower()]
    except KeyError:
        raise DataError(
            f"{path}: the name does not tell the format of a pair file; expected "
            f"{', '.join(_FORMAT_OF_SUFFIX)} (or with .gz), or format='tsv', 'csv', 'jsonl' or "
            "'json'"
        ) from None


# --------------------------------------------------------------------------------------
# Objects
# --------------------------------------------------------------------------------------


def _in_memory(pairs: Iterable[Any], source_key: str, target_key: str) -> Iterator[tuple[str, str]]:
    for number, pair in enumerate(pairs):
        where = f"pair {number} (counted from 0)"
        if isinstance(pair, Mapping):
            yield _from_row(pair, source_key, target_key, where)
        elif isinstance(pair, (str, bytes)) or not hasattr(pair, "__len__") or len(pair) != 2:
            raise DataError(
                f"{where}: expected a source and a target text, got {_shortened(repr(pair))}"
            )
        else:
            yield _text(pair[0], "source", where), _text(pair[1], "target", where)


def _dataset(dataset: Any, source_key: str, target_key: str) -> Iterator[tuple[str, str]]:
    columns = dataset.column_names
    if columns is not None:
        if isinstance(columns, Mapping):
            raise DataError(f"pairs holds the splits {_listed(columns)}; pass one of them")
        if source_key in columns and target_key in columns:
            # Other columns may be costly to decode (images, audio).
            dataset = dataset.select_columns([source_key, target_key])
        elif "translation" not in columns:
            raise DataError(
                f"dataset has the columns {_listed(columns)}, but no {source_key!r} and "
                f"{target_key!r}; name its columns with source_key and target_key"
            )
    with tqdm(
        dataset,
        desc="dataset",
        total=len(dataset) if hasattr(dataset, "__len__") else None,
        unit=" pairs",
        delay=1,
        leave=False,
        file=sys.stderr,
    ) as rows:
        for number, row in enumerate(rows):
            yield _from_row(row, source_key, target_key, f"dataset row {number}")


def _from_row(
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
                f"{where}: no key {key!r}, but {_listed(row)}; name the keys with source_key "
                "and target_key"
            )
    return _text(row[source_key], source_key, where), _text(row[target_key], target_key, where)


def _text(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(
            f"{where}: {name} is {_shortened(repr(value))} ({type(value).__name__}), expected text"
        )
    try:
        # JSON can spell half of a surrogate pair, which no encoding accepts.
        if not value.isascii():
            value.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(
            f"{where}: {name} holds an unpaired surrogate, which is no character: "
            f"{_shortened(ascii(value))}"
        ) from None
    return value


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(repr(name) for name in names) or "nothing"
