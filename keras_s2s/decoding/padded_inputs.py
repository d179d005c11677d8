"""Pads sources and targets of a batch to the inputs of the decoding loop, or of a teacher-forced
pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_s2s.config import SpecialIds
from keras_s2s.data.teacher_forcing import teacher_forcing
from keras_s2s.layers.contracts import SOURCE_MASK
from keras_s2s.network import Network


@dataclass(frozen=True)
class PaddedInputs:
    """Pads sources, prefixes and targets to arrays.

    Where a program is made for each shape, sizes of batches and lengths are rounded up to few
    values. The entries that this adds repeat the first, so that nothing in them is undefined; their
    results are dropped.

    Attributes:
        network: the network, with the kind of its sources and its maximum lengths.
        special_ids: PAD of both sides.
        few_sizes: whether to round up: on JAX, which compiles for each shape, and where steps are
            recorded.
    """

    network: Network
    special_ids: SpecialIds
    few_sizes: bool

    def generation(
        self,
        rows: Sequence[Any],
        chunk: Sequence[int],
        seeds: np.ndarray,
        prefixes: Sequence[Sequence[int]] | None,
        limits: Sequence[int],
        phrases: Mapping[str, np.ndarray],
    ) -> dict[str, np.ndarray]:
        """Returns what `Loop.start` takes, for a batch of the sources of a call.

        Args:
            rows: all sources of the call.
            chunk: the places of those of this batch.
            seeds, prefixes, limits: of all sources, see `Generator.generate`.
            phrases: of all sources, see `Job`.
        """
        inputs = self.sources([rows[i] for i in chunk])
        padded = len(inputs[SOURCE_MASK])
        places = np.concatenate([chunk, np.repeat(chunk[:1], padded - len(chunk))]).astype(int)
        given = [prefixes[i] for i in places] if prefixes is not None else [[]] * padded
        length = max(1, max(map(len, given)))
        if self.few_sizes and prefixes is not None:
            length = round_up_length(length)
        prefix, _ = pad_rows(given, padded, length, self.special_ids.target.pad)
        return {
            **inputs,
            "places": places.astype("int32"),
            "seeds": seeds[places],
            "prefix": prefix,
            "prefix_lengths": np.asarray([len(ids) for ids in given], "int32"),
            "limits": np.asarray([limits[i] for i in places], "int32"),
            **{name: array[places] for name, array in phrases.items()},
        }

    def sources(self, rows: Sequence[Any]) -> dict[str, np.ndarray]:
        """Returns the inputs of the frontend for sources, ids or arrays `[S, ...]`."""
        longest = max(len(row) for row in rows)
        size = round_up_rows(len(rows)) if self.few_sizes else len(rows)
        length = self._rounded(longest, self.network.max_source_length)
        return self.network.frontend.batch(rows, size, length, self.special_ids.source.pad)

    def targets(
        self, rows: Sequence[Sequence[int]], starts: Sequence[int], inputs: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        """Returns decoder inputs and labels of targets.

        Args:
            rows: target ids, no decoder start in front.
            starts: the decoder start of each.
            inputs: of their sources, as `sources` returns them.
        """
        length = self._rounded(max(len(row) for row in rows), self.network.max_target_length)
        fillers = len(inputs[SOURCE_MASK]) - len(rows)
        ids, labels, weights = teacher_forcing(
            [*rows, *[rows[0]] * fillers],
            [*starts, *[starts[0]] * fillers],
            self.special_ids.target.pad,
            length,
        )
        return {"decoder_token_ids": ids, "decoder_padding_mask": weights > 0, "labels": labels}

    def _rounded(self, length: int, limit: int | None) -> int:
        """Returns the padded length of rows; no longer than the positions for them."""
        if not self.few_sizes:
            return length
        rounded = round_up_length(length)
        return rounded if limit is None else max(length, min(rounded, limit))


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


def round_up_rows(size: int) -> int:
    """Returns the next power of two."""
    return 1 << (size - 1).bit_length()


def round_up_length(length: int) -> int:
    """Returns the next multiple of 8, or, for longer rows, of a quarter of the power of two
    below.
    """
    step = max(8, (1 << (length - 1).bit_length()) // 8)
    return -(-length // step) * step
