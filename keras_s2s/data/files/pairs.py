"""Reads text pairs from files, lists and Hugging Face datasets.

`read_pairs` finds out what it is given. Each form has a module: TSV and CSV `delimited.py`, JSON
`json_pairs.py`, objects in memory `object_pairs.py`; the result is `text_pairs.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from keras_s2s.data.errors import DataError
from keras_s2s.data.files.delimited import QuoteReport, delimited_pairs
from keras_s2s.data.files.json_pairs import json_pairs
from keras_s2s.data.files.object_pairs import dataset_pairs, pairs_in_memory
from keras_s2s.data.files.rows import listed
from keras_s2s.data.files.text_files import text_lines
from keras_s2s.data.files.text_pairs import TextPairs, without_empty
from keras_s2s.text.data_frames import is_table, pair_columns, table_rows

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
    keys = source_key, target_key
    if source is not None and target is not None:
        origin = f"{os.fspath(source)} + {os.fspath(target)}"
        found: Iterable[tuple[str, str]] = _line_aligned(Path(source), Path(target))
    elif isinstance(pairs, (str, os.PathLike)):
        origin = str(Path(pairs))
        found = _pair_file(Path(pairs), format, keys, columns, quotes, quoted)
    elif is_table(pairs):
        origin = "table"
        found = pairs_in_memory(table_rows(pairs, pair_columns(pairs, *keys)), *keys)
    elif isinstance(pairs, Mapping):
        raise DataError(
            f"pairs is a mapping with the keys {listed(pairs)}; pass one split of it, "
            f"such as dataset[{next(iter(pairs), 'train')!r}]"
        )
    elif hasattr(pairs, "column_names"):
        origin = "dataset"
        found = dataset_pairs(pairs, *keys)
    else:
        origin = "pairs"
        found = pairs_in_memory(pairs, *keys)
    return without_empty(found, origin, quoted)


def _pair_file(
    path: Path,
    format: PairFormat | None,
    keys: tuple[str, str],
    columns: tuple[int, int] | None,
    quotes: bool | None,
    quoted: QuoteReport,
) -> Iterable[tuple[str, str]]:
    """Returns the pairs of a file that holds both sides; arguments as of `read_pairs`.

    Args:
        keys: of source and target.
        quoted: counts quotes, while the pairs are read.
    """
    kind = _format(path, format)
    if kind in ("tsv", "csv"):
        if keys != ("source", "target"):
            raise ValueError(
                f"{path}: source_key and target_key are for JSON lines; say which columns of "
                "a TSV file to read by their numbers, e.g. columns=(0, 1)"
            )
        if quotes is None and kind == "csv":
            quotes = True
        return delimited_pairs(path, "\t" if kind == "tsv" else ",", columns, quotes, quoted)
    if columns is not None:
        raise ValueError(
            f"{path}: columns={columns} is for TSV files; name the keys of JSON lines with "
            "source_key and target_key"
        )
    if quotes is not None:
        raise ValueError(f"{path}: quotes={quotes} is for TSV and CSV files")
    return json_pairs(path, *keys, lists=kind == "json")


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
