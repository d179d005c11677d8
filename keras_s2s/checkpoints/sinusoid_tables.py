"""Sinusoidal positions as the tables that other libraries store."""

from __future__ import annotations

from typing import Literal

import numpy as np

from keras_s2s.config import EmbeddingConfig
from keras_s2s.layers.positions import sinusoidal_rates

Layout = Literal["interleaved", "halves", "tensor2tensor"]

LAYOUTS: tuple[Layout, ...] = ("interleaved", "halves", "tensor2tensor")
#: Offsets that are tried: none, CTranslate2's own, fairseq's.
OFFSETS = (0, 1, 2)
#: How far a stored table may be off: its type's precision, and angles of thousands in float32.
TOLERANCE = {"float32": 2e-3, "float16": 4e-3, "bfloat16": 1e-2}


#: How far rounding to a type moves a value between -1 and 1, and angles in float32 a bit more.
ROUNDING = {"float64": 1e-4, "float32": 1e-4, "float16": 6e-4, "bfloat16": 5e-3}


def sinusoid_table(layout: Layout, first: int, rows: int, dim: int) -> np.ndarray:
    """Returns the vectors of the positions `first` to `first + rows - 1`.

    Args:
        layout: see `EmbeddingConfig.sinusoids`.
        first: position of the first row.
        rows: number of positions.
        dim: width.

    Returns:
        float32 `[rows, dim]`.
    """
    angles = np.arange(first, first + rows)[:, None] * sinusoidal_rates(dim, layout)
    sines, cosines = np.sin(angles), np.cos(angles)
    if layout == "interleaved":
        # [rows, pairs, 2] -> [rows, dim]
        table = np.stack([sines, cosines], axis=-1).reshape(rows, -1)[:, :dim]
    else:
        ending = np.zeros((rows, dim - 2 * (dim // 2)))
        table = np.concatenate([sines, cosines, ending], axis=-1)[:, :dim]
    return table.astype(np.float32)


def is_sinusoids(
    table: np.ndarray, dtype: str, layout: Layout, *, zero_row: int | None = None
) -> bool:
    """Returns whether a stored table `[rows, dim]` equals that of the positions from 0 on, up to
    rounding.

    Args:
        table: any float type.
        dtype: the type it was stored in.
        layout: see `EmbeddingConfig.sinusoids`.
        zero_row: a row that may hold zeros instead: that of PAD, in fairseq's tables.
    """
    if table.ndim != 2 or 0 in table.shape:
        return False
    difference = np.abs(table.astype(np.float32) - sinusoid_table(layout, 0, *table.shape))
    if zero_row is not None and zero_row < len(table) and not table[zero_row].any():
        difference[zero_row] = 0
    # Rates in float32 put an angle off by 6e-8 a position. False for NaN, too.
    return bool(difference.max() < ROUNDING.get(dtype, 0.0) + 1e-7 * len(table))


def find_sinusoids(table: np.ndarray, dtype: str) -> EmbeddingConfig | None:
    """Returns the settings that a stored table `[rows, dim]` was computed from; None if it was
    trained.

    A table of zeros means no positions at all.

    Args:
        table: float32.
        dtype: the type it was stored in.
    """
    rows, dim = table.shape
    if not table.any():
        return EmbeddingConfig(positions="none")
    for layout in LAYOUTS:
        for offset in OFFSETS:
            # Most are told apart by their first rows.
            if all(
                np.abs(table[:n] - sinusoid_table(layout, offset, n, dim)).max() < TOLERANCE[dtype]
                for n in (min(rows, 4), rows)
            ):
                return EmbeddingConfig(
                    positions="sinusoidal", sinusoids=layout, position_offset=offset
                )
    return None


def sines_before_cosines(rows: int, dim: int) -> np.ndarray:
    """Returns the table `[rows, dim]` of positions from 0 on, computed in float64 as transformers
    does.
    """
    columns = np.arange(dim)
    angles = np.arange(rows)[:, None] / np.power(10000, 2 * (columns // 2) / dim)
    table = np.concatenate([np.sin(angles[:, 0::2]), np.cos(angles[:, 1::2])], axis=1)
    return table.astype("float32")
