"""Reads pairs from objects in memory: collections of pairs, and data sets of Hugging Face."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tqdm import tqdm

from keras_s2s.data.errors import DataError
from keras_s2s.data.files.rows import listed, pair_of_row, shortened, text_of


def pairs_in_memory(
    pairs: Iterable[Any], source_key: str, target_key: str
) -> Iterator[tuple[str, str]]:
    """Yields the texts of pairs that are sequences of two, or mappings.

    Raises:
        DataError: an element is no pair of texts.
    """
    for number, pair in enumerate(pairs):
        where = f"pair {number} (counted from 0)"
        if isinstance(pair, Mapping):
            yield pair_of_row(pair, source_key, target_key, where)
        elif isinstance(pair, (str, bytes)) or not hasattr(pair, "__len__") or len(pair) != 2:
            raise DataError(
                f"{where}: expected a source and a target text, got {shortened(repr(pair))}"
            )
        else:
            yield text_of(pair[0], "source", where), text_of(pair[1], "target", where)


def dataset_pairs(dataset: Any, source_key: str, target_key: str) -> Iterator[tuple[str, str]]:
    """Yields the texts of a split of Hugging Face's `datasets`.

    Raises:
        DataError: it has no such columns, or is a mapping of splits.
    """
    columns = dataset.column_names
    if columns is not None:
        if isinstance(columns, Mapping):
            raise DataError(f"pairs holds the splits {listed(columns)}; pass one of them")
        if source_key in columns and target_key in columns:
            # Other columns may be costly to decode (images, audio).
            dataset = dataset.select_columns([source_key, target_key])
        elif "translation" not in columns:
            raise DataError(
                f"dataset has the columns {listed(columns)}, but no {source_key!r} and "
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
            yield pair_of_row(row, source_key, target_key, f"dataset row {number}")
