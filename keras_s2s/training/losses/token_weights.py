"""Computes the weight of each target position in losses and metrics."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_s2s.data.checks.model_limits import IGNORED_LABEL, check_inputs
from keras_s2s.typing import Tensor


def token_weights(inputs: Any, labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the labels of a batch, and the weight of each.

    Args:
        inputs: of the model; `decoder_padding_mask` `[B, T]` says which positions are real.
        labels: int `[B, T]`; those of -100 have weight 0.
        weights: of tokens `[B, T]` or of rows, `[B]` or `[B, 1]`, which multiply those of their
            tokens; None is 1 for each real token.

    Returns:
        labels int32 `[B, T]` and weights float32 `[B, T]`, 0 on padding.

    Raises:
        ValueError: weights of another shape.
    """
    check_inputs(inputs, "a batch", ["decoder_padding_mask"])
    mask = ops.cast(inputs["decoder_padding_mask"], "float32")
    if weights is None:
        return without_ignored(labels, mask)
    if getattr(weights.shape, "rank", 0) is None:
        # TensorFlow, after calls with weights of rows and of tokens: one trace serves both.
        rows = ops.cast(ops.reshape(weights, (ops.shape(mask)[0], -1)), "float32")
        return without_ignored(labels, mask * rows)
    given = tuple(weights.shape)
    weights = by_row(weights)
    for axis, (size, expected) in enumerate(zip(weights.shape, mask.shape, strict=True)):
        if None not in (size, expected) and size != expected and (axis == 0 or size != 1):
            raise ValueError(
                f"the weights have the shape {given}, but the batch has {tuple(mask.shape)} "
                "target positions; expected [batch] or [batch, 1], a weight for each row, or "
                "[batch, target], one for each token"
            )
    return without_ignored(labels, mask * weights)


def without_ignored(labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Returns labels and weights in which labels of -100 have weight 0.

    Args:
        labels: int `[B, T]`, or the same numbers as floats, as Keras hands them to a loss.
        weights: `[B, T]`, `[B, 1]` or `[B]`; None is 1 everywhere.

    Returns:
        labels int32 `[B, T]`, in which an ignored one is 0, and weights float32 `[B, T]`.
    """
    labels = ops.cast(labels, "int32")
    kept = ops.not_equal(labels, IGNORED_LABEL)
    mask = ops.cast(kept, "float32")
    weights = mask if weights is None else mask * by_row(weights)
    return ops.where(kept, labels, ops.zeros_like(labels)), weights


def by_row(weights: Tensor) -> Tensor:
    """Returns weights as float32 that broadcast against `[B, T]`; those of shape `[B]` are for
    rows.

    Raises:
        ValueError: weights of more than two axes.
    """
    weights = ops.cast(ops.convert_to_tensor(weights), "float32")
    rank = len(weights.shape)
    if rank > 2:
        raise ValueError(
            f"weights have the shape {tuple(weights.shape)}; expected [batch] or [batch, 1], a "
            "weight for each row, or [batch, target], one for each token"
        )
    return ops.expand_dims(weights, 1) if rank == 1 else weights
