"""Attention masks (True = attend), made from lengths, never from `ids != pad`.

Dimension letters used throughout the package: B sources in the batch, K beams of each
source, R = B*K decoder rows, S source length, T target length, C cache capacity, H heads,
D width, V vocabulary.
"""

from __future__ import annotations

from keras import ops

from keras_s2s.typing import Tensor

#: Score of what is masked out: exp underflows to an exact zero, and differences between two of
#: them stay finite. Within the range of bfloat16, too.
LOWEST = -1e30


def padding_mask(lengths: Tensor, length: int) -> Tensor:
    """Returns the mask of the real positions of right-padded rows.

    Args:
        lengths: int tensor `[B]`, real positions of each row.
        length: padded length of the batch.

    Returns:
        bool tensor `[B, length]`.

    Example:
        >>> ops.convert_to_numpy(padding_mask([1, 3], 3)).tolist()
        [[True, False, False], [True, True, True]]
    """
    lengths = ops.convert_to_tensor(lengths, dtype="int32")
    return ops.arange(length, dtype="int32")[None, :] < lengths[:, None]


def causal_mask(length: Tensor) -> Tensor:
    """Returns the mask with which each target position attends to itself and earlier ones.

    Args:
        length: target length T, an int or a scalar tensor.

    Returns:
        bool tensor `[1, 1, T, T]`, axes (batch, head, query, key).
    """
    positions = ops.arange(length, dtype="int32")
    return (positions[None, :] <= positions[:, None])[None, None]


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Computes the softmax over the last axis in float32, with exact zeros where masked out.

    A row without a single allowed entry (a filler row of a batch) becomes uniform rather
    than NaN, so that sums over the batch stay finite.

    Args:
        scores: float tensor `[..., S]`.
        mask: bool tensor broadcastable to `scores`, or None.

    Returns:
        float tensor shaped and typed like `scores`.
    """
    if scores.shape[-1] == 1:
        return ops.ones_like(scores)
    weights = ops.cast(scores, "float32")
    if mask is not None:
        weights = ops.where(mask, weights, ops.cast(LOWEST, "float32"))
    return ops.cast(ops.softmax(weights, axis=-1), scores.dtype)
