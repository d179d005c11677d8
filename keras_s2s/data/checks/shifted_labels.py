"""Checks that labels are one position ahead of the decoder inputs, as teacher forcing has them.

`data/teacher_forcing.py` shifts them; here batches that were shifted elsewhere, twice or not at all
are recognised.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_s2s.config import SpecialIds
from keras_s2s.data.errors import DataError

#: Real positions that an alignment needs, by how far labels are ahead: a single one may agree by
#: chance.
LEAST_EVIDENCE = (2, 1, 2)


def check_teacher_forcing(
    decoder_inputs: Any, labels: Any, weights: Any, special_ids: SpecialIds
) -> None:
    """Raises an error for labels that are not one position ahead of the decoder inputs.

    A batch passes if `labels[:, t] == decoder_inputs[:, t + 1]` at every real position, and
    also if that alignment fits best without being perfect (decoder inputs with noise on
    purpose). It is refused where another alignment fits better: labels equal to the decoder
    inputs, or two positions ahead of them.

    Args:
        decoder_inputs: int `[B, T]`.
        labels: int `[B, T]`.
        weights: float `[B, T]`; a row is real up to its last weight above 0.
        special_ids: of the model.

    Raises:
        DataError: the labels look unshifted, or shifted twice.

    Example:
        >>> from keras_s2s.data import teacher_forcing
        >>> ids = model.special_ids.target
        >>> forced = teacher_forcing(
        ...     [[7, 8, ids.eos]], decoder_start=ids.decoder_start, pad=ids.pad, length=4
        ... )
        >>> check_teacher_forcing(*forced, model.special_ids)
    """
    decoder_inputs, labels, weights = (
        np.asarray(array) for array in (decoder_inputs, labels, weights)
    )
    if not decoder_inputs.shape == labels.shape == weights.shape or labels.ndim != 2:
        raise DataError(
            f"decoder inputs {decoder_inputs.shape}, labels {labels.shape} and weights "
            f"{weights.shape} must have one shape [batch, target]"
        )
    lengths = _real_lengths(weights)
    longer = lengths > 1
    if not longer.any():
        return
    start = special_ids.target.decoder_start
    right = _agreement(labels, decoder_inputs, lengths, 1)
    if right < 1.0:
        if _agreement(labels, decoder_inputs, lengths, 0) > max(right, 0.5):
            raise DataError(
                "labels equal the decoder inputs, so the model would learn to copy its input: "
                "labels are not shifted. The decoder inputs must begin with the decoder start "
                f"id {start} and run one position behind the labels; give raw targets to "
                "Batches, which shifts them"
            )
        if _agreement(labels, decoder_inputs, lengths, 2) > max(right, 0.5):
            raise DataError(
                "labels run two positions ahead of the decoder inputs: they were shifted "
                "twice, and the model would skip every other token. Give raw targets to "
                "Batches, which shifts them once"
            )
    # One row alone may be a text that spells the decoder start.
    twice = (labels[longer, 0] == start) & (decoder_inputs[longer, 0] == start)
    if len(twice) > 1 and twice.all() and not start_may_be_label(special_ids):
        raise DataError(
            f"every target's first label is the decoder start id {start}: the targets were "
            "shifted before they were shifted here. Give raw targets, without the decoder "
            "start"
        )


def _real_lengths(weights: np.ndarray) -> np.ndarray:
    """Returns the real positions of each row, int `[B]`: those up to its last weight above 0."""
    positions = np.arange(weights.shape[1])
    found: np.ndarray = np.max(np.where(weights > 0, positions + 1, 0), axis=1, initial=0)
    return found


def _agreement(
    labels: np.ndarray, decoder_inputs: np.ndarray, lengths: np.ndarray, ahead: int
) -> float:
    """Returns the share of real positions where the label is the decoder input `ahead` later."""
    width = labels.shape[1]
    count = max(width - ahead, 0)
    real = np.arange(width)[None, :count] < (lengths - ahead)[:, None]
    equal = labels[:, :count] == decoder_inputs[:, ahead:]
    return float(np.mean(equal[real])) if real.sum() >= LEAST_EVIDENCE[ahead] else 0.0


def start_may_be_label(special_ids: SpecialIds) -> bool:
    """Returns whether a raw target may begin with the decoder start id (where it is BOS as
    well).
    """
    target = special_ids.target
    return target.decoder_start in (target.bos, target.forced_bos)
