"""Teacher forcing: the decoder reads the true target, one position behind its labels.

This is the only place where targets are shifted, for training and for scoring. Users give raw
targets; models, losses and samplers never shift anything. Training may put the model's own choices
in the place of decoder inputs (`training/scheduled_sampling.py`); labels and weights stay. Batches
whose labels look unshifted, or shifted twice, are refused (`data/checks/shifted_labels.py`).

    target ids          T1     T2     T3     EOS
    decoder inputs      START  T1     T2     T3     PAD
    labels              T1     T2     T3     EOS    PAD
    weights             1      1      1      1      0
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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
