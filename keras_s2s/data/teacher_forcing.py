"""Teacher forcing: the decoder reads the true target, one position behind its labels.

This is the only place where targets are shifted, for training and for scoring. Users give raw
targets; models, losses and samplers never shift anything. Training may put the model's own choices
in the place of decoder inputs (`training/scheduled_sampling.py`); labels and weights stay.

    target ids          T1     T2     T3     EOS
    decoder inputs      START  T1     T2     T3     PAD
    labels              T1     T2     T3     EOS    PAD
    weights             1      1      1      1      0
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_s2s.config import SpecialIds
from keras_s2s.data.errors import DataError


def teacher_forcing(
    target_ids: Sequence[Sequence[int] | np.ndarray],
    decoder_start: int | Sequence[int],
    pad: int,
    length: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Makes decoder inputs, labels and weights from raw targets.

    Padding is told by the lengths of the rows: `pad` may equal EOS or the decoder start.

    Args:
        target_ids: B rows of target ids that end in EOS and have no decoder start in front.
            An empty row fills the batch up: padding of weight 0.
        decoder_start: the decoder's first input: one id for all rows, or one for each row (models
            whose decoder starts with the target's language).
        pad: fills rows up to `length`.
        length: padded length T.

    Returns:
        decoder_inputs: int32 `[B, T]`, the decoder start and all of the row but its last id.
        labels: int32 `[B, T]`, the row.
        weights: float32 `[B, T]`, 1 on the row's ids, its EOS included, and 0 after them.

    Raises:
        ValueError: a row is longer than `length`, or there are not as many decoder starts as rows.

    Example:
        >>> teacher_forcing([[7, 8, 1]], decoder_start=0, pad=0, length=4)
        (array([[0, 7, 8, 0]], dtype=int32), array([[7, 8, 1, 0]], dtype=int32),
         array([[1., 1., 1., 0.]], dtype=float32))
    """
    starts = np.asarray(decoder_start, dtype="int32")
    if starts.ndim and len(starts) != len(target_ids):
        raise ValueError(f"{len(starts)} decoder starts for {len(target_ids)} target rows")
    starts = np.broadcast_to(starts, len(target_ids))
    decoder_inputs = np.full((len(target_ids), length), pad, dtype="int32")
    labels = np.full((len(target_ids), length), pad, dtype="int32")
    weights = np.zeros((len(target_ids), length), dtype="float32")
    for row, ids in enumerate(target_ids):
        size = len(ids)
        if size > length:
            raise ValueError(f"target row {row} has {size} ids, more than length {length}")
        if size == 0:
            continue
        decoder_inputs[row, 0] = starts[row]
        decoder_inputs[row, 1:size] = ids[:-1]
        labels[row, :size] = ids
        weights[row, :size] = 1.0
    return decoder_inputs, labels, weights


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
    width = labels.shape[1]
    positions = np.arange(width)
    lengths = np.max(np.where(weights > 0, positions + 1, 0), axis=1, initial=0)

    # A single position may agree with a wrong alignment by chance.
    least_evidence = (2, 1, 2)

    def agreement(ahead: int) -> float:
        """Returns the share of real positions where the label is the decoder input `ahead`
        later.
        """
        real = positions[None, : max(width - ahead, 0)] < (lengths - ahead)[:, None]
        equal = labels[:, : max(width - ahead, 0)] == decoder_inputs[:, ahead:]
        return float(np.mean(equal[real])) if real.sum() >= least_evidence[ahead] else 0.0

    longer = lengths > 1
    if not longer.any():
        return
    start = special_ids.target.decoder_start
    right = agreement(1)
    if right < 1.0:
        if agreement(0) > max(right, 0.5):
            raise DataError(
                "labels equal the decoder inputs, so the model would learn to copy its input: "
                "labels are not shifted. The decoder inputs must begin with the decoder start "
                f"id {start} and run one position behind the labels; give raw targets to "
                "Batches, which shifts them"
            )
        if agreement(2) > max(right, 0.5):
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


def start_may_be_label(special_ids: SpecialIds) -> bool:
    """Returns whether a raw target may begin with the decoder start id (where it is BOS as
    well).
    """
    target = special_ids.target
    return target.decoder_start in (target.bos, target.forced_bos)
