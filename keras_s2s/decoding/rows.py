"""Pads rows of ids, and rounds their sizes to those that programs are compiled for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops


def check_not_empty(lengths: np.ndarray, places: Sequence[int] | None = None) -> None:
    """Checks that each source has a sequence.

    Args:
        lengths: `[B, N]`.
        places: numbers of the rows among the caller's sources; None means 0, 1, ...

    Raises:
        ValueError: rules forbid all of a source's.
    """
    empty = np.flatnonzero(lengths.max(axis=1, initial=0) == 0)
    if empty.size:
        source = int(empty[0]) if places is None else places[empty[0]]
        raise ValueError(
            f"source {source}: the rules of this generation forbid every id at some step, so that "
            "no sequence is left. Loosen what forbids ids (suppress_tokens, bad_words_ids, "
            "no_repeat_ngram_size, processors of your own), or what forbids to end (min_length)"
        )


def pad_rows(
    rows: Sequence[Sequence[int]], size: int, length: int, pad: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns `rows` as int32 `[size, length]` filled with `pad`, and the bool mask of real
    positions.
    """
    ids = np.full((size, length), pad, np.int32)
    mask = np.zeros((size, length), bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = True
    return ids, mask


def row_seeds(seed: int | Sequence[int] | None, count: int) -> np.ndarray:
    """Returns an int32 seed for each row.

    From a single seed, row i gets the i-th derived seed; from a list, each row gets the first
    derived from its own, so that a row has the same draws alone with seed s as in a batch with s in
    its place.
    """
    if seed is None:
        return np.random.default_rng().integers(-(2**31), 2**31, count).astype(np.int32)
    message = f"seed={seed!r} must be a whole number, or one for each row"
    if isinstance(seed, bool | str):
        raise ValueError(message)
    if isinstance(seed, int | np.integer):
        pairs = [(int(seed), i) for i in range(count)]
    elif isinstance(seed, Sequence | np.ndarray):
        if not all(isinstance(s, int | np.integer) and not isinstance(s, bool) for s in seed):
            raise ValueError(message)
        if len(seed) != count:
            raise ValueError(f"seed holds {len(seed)} seeds for {count} rows; give one for each")
        pairs = [(int(s), 0) for s in seed]
    else:
        raise ValueError(message)
    words = [np.random.SeedSequence([s % 2**64, i]).generate_state(1)[0] for s, i in pairs]
    return np.asarray(words, np.uint32).astype(np.int32)


def round_up_rows(size: int) -> int:
    """Returns the next power of two."""
    return 1 << (size - 1).bit_length()


def round_up_length(length: int) -> int:
    """Returns the next multiple of 8, or, for longer rows, of a quarter of the power of two
    below.
    """
    step = max(8, (1 << (length - 1).bit_length()) // 8)
    return -(-length // step) * step


def as_rows(values: Any, mask: Any, name: str) -> list[np.ndarray]:
    """Returns the sources without their padding, from padded arrays.

    Args:
        values: `[B, S, ...]`, ids or feature vectors.
        mask: bool `[B, S]`, True at real positions.
        name: what messages call `values`.

    Returns:
        NumPy arrays `[S, ...]`.

    Raises:
        ValueError: shapes that differ, a row without a real id, or padding before the end.
    """
    values = np.asarray(ops.convert_to_numpy(values))
    mask = np.asarray(ops.convert_to_numpy(mask)).astype(bool)
    if mask.ndim != 2 or values.shape[:2] != mask.shape:
        raise ValueError(
            f"{name} and encoder_padding_mask must share one shape [batch, length], "
            f"got {values.shape} and {mask.shape}"
        )
    lengths = mask.sum(axis=1)
    for i, (row, length) in enumerate(zip(mask, lengths, strict=True)):
        if not length:
            raise ValueError(f"encoder_padding_mask: row {i} has no real position")
        if not row[:length].all():
            raise ValueError(f"encoder_padding_mask: row {i} is not padded at its end only")
    return [row[:length] for row, length in zip(values, lengths, strict=True)]
