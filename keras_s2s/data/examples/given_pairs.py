"""Reads pairs as a caller gives them: checks each one, and makes ids of texts.

What becomes of pairs that are empty or too long is decided in `encoding.py`.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from keras_s2s.config import SpecialIds
from keras_s2s.data.checks.flat_ids import flat_ids
from keras_s2s.data.checks.shifted_labels import start_may_be_label
from keras_s2s.data.errors import DataError
from keras_s2s.data.files.text_pairs import is_blank
from keras_s2s.layers.contracts import Frontend

if TYPE_CHECKING:
    from keras_s2s.text.preprocessor import Preprocessor

# Texts encoded at a time: enough for the tokenizer's threads, few enough to show progress.
CHUNK = 1024


def ids_of_pairs(
    pairs: Iterable[Any],
    preprocessor: Preprocessor | None,
    special_ids: SpecialIds,
    frontend: Frontend | None,
) -> Iterator[tuple[int, Any, Sequence[int]]]:
    """Yields number, source ids and target ids of each pair; an empty text has no ids."""
    numbered = iter(enumerate(pairs))
    total = len(pairs) if isinstance(pairs, Sized) else None
    with tqdm(
        desc="encoding", total=total, unit=" pairs", delay=1, leave=False, file=sys.stderr
    ) as bar:
        while chunk := list(itertools.islice(numbered, CHUNK)):
            for number, pair in chunk:
                _check_pair(number, pair)
            if preprocessor is None:
                for number, pair in chunk:
                    where = f"pair {number} (counted from 0)"
                    source: Any = pair[0]
                    if is_array(source, frontend):
                        source = checked_array(f"{where}: source", source, frontend)
                    else:
                        source = ids_of_data(f"{where}: source", source)
                    target = ids_of_data(f"{where}: target", pair[1])
                    _check_raw_target(number, target, special_ids)
                    yield number, source, target
            else:
                yield from _encoded(chunk, preprocessor, frontend)
            bar.update(len(chunk))


def _encoded(
    chunk: list[tuple[int, Any]], preprocessor: Preprocessor, frontend: Frontend | None
) -> Iterator[tuple[int, Any, Sequence[int]]]:
    for number, pair in chunk:
        for side, text in zip(("source", "target"), pair, strict=True):
            if not isinstance(text, str) and not (side == "source" and is_array(text, frontend)):
                raise DataError(
                    f"pair {number} (counted from 0): {side} is a {type(text).__name__}, "
                    "expected text; for pairs of ids pass special_ids and no preprocessor"
                )
    full = [
        (n, s, t)
        for n, (s, t) in chunk
        if not ((isinstance(s, str) and is_blank(s)) or is_blank(t))
    ]
    texts = [source for _, source, _ in full if isinstance(source, str)]
    of_texts = iter(preprocessor.encode_source(texts))
    sources = [
        next(of_texts)
        if isinstance(source, str)
        else checked_array(f"pair {number} (counted from 0): source", source, frontend)
        for number, source, _ in full
    ]
    targets = preprocessor.encode_target([target for _, _, target in full])
    ids = {
        number: (source, target)
        for (number, _, _), source, target in zip(full, sources, targets, strict=True)
    }
    for number, _ in chunk:
        yield number, *ids.get(number, ((), ()))


def _check_pair(number: int, pair: Any) -> None:
    if isinstance(pair, (str, bytes, dict)) or not hasattr(pair, "__len__") or len(pair) != 2:
        shown = repr(pair)
        raise DataError(
            f"pair {number} (counted from 0): expected a source and a target, got "
            f"{shown if len(shown) <= 80 else shown[:77] + '...'}"
        )


def is_array(source: Any, frontend: Frontend | None) -> bool:
    """Returns whether a source is an array that a frontend reads, not a text or a list of ids.

    Without a frontend, numbers that are whole by their type are ids, however they are nested.
    """
    if frontend is not None:
        return not frontend.reads_text
    if isinstance(source, str | bytes) or source is None:
        return False
    if isinstance(source, list | tuple) and source and isinstance(source[0], int):
        return False
    try:
        array = np.asarray(source)
    except (TypeError, ValueError):  # rows of several lengths
        return False
    return array.ndim >= 2 and array.dtype.kind == "f"


def checked_array(where: str, source: Any, frontend: Frontend | None) -> np.ndarray:
    """Returns a source as the array that a frontend reads, or as feature vectors `[S, F]`.

    Raises:
        DataError: another shape, or numbers that are not finite; the message begins with `where`.
    """
    if frontend is not None:
        try:
            return np.asarray(frontend.row(source, where))
        except ValueError as error:
            raise DataError(str(error)) from None
    array = np.asarray(source, dtype="float32")
    if array.ndim != 2:
        raise DataError(
            f"{where} has shape {array.shape}, expected feature vectors [length, features]"
        )
    if not np.isfinite(array).all():
        raise DataError(f"{where} holds numbers that are not finite (NaN or infinite)")
    return array


def ids_of_data(where: str, ids: Any) -> list[int]:
    """Returns the ids of a side of a pair as a list.

    Raises:
        DataError: it is something else; the message begins with `where`.
    """
    if isinstance(ids, str):
        raise DataError(f"{where} is text, expected ids; for texts pass a preprocessor")
    try:
        found: list[int] = flat_ids(where, ids).tolist()
    except ValueError as error:
        raise DataError(str(error)) from None
    return found


def _check_raw_target(number: int, ids: list[int], special_ids: SpecialIds) -> None:
    """Raises an error for raw ids that look shifted or padded."""
    target = special_ids.target
    where = f"pair {number} (counted from 0)"
    if len(ids) > 1 and ids[0] == target.decoder_start and not start_may_be_label(special_ids):
        raise DataError(
            f"{where}: the target begins with the decoder start id {target.decoder_start}, so "
            "it looks already shifted; give raw targets without it, they are shifted here"
        )
    first = 1 if target.eos in (target.bos, target.forced_bos) else 0
    if target.eos in ids[first:-1]:
        raise DataError(
            f"{where}: the EOS id {target.eos} stands at position "
            f"{ids.index(target.eos, first)} of {len(ids)} target ids, so the target looks "
            "padded; give it without padding, EOS last"
        )
