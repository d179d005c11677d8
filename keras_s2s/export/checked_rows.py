"""Graph ops that refuse rows of ids, or of vectors, that a model cannot read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def checked_rows(
    values: Any,
    mask: Any,
    *,
    side: str,
    name: str,
    mask_name: str,
    size: int | None,
    limit: int | None,
) -> tuple[Any, Any]:
    """Returns `values` and `mask` after checks, for TensorFlow graphs.

    Args:
        values: int32 `[B, T]`, or float32 `[B, T, F]` where rows are vectors.
        mask: bool `[B, T]`, True = real.
        side: "source" or "target", for messages.
        name, mask_name: of both inputs, for messages.
        size: number of ids; None where rows are vectors.
        limit: positions that the model has; None where there is no limit.
    """
    import tensorflow as tf

    what = "vectors" if size is None else "ids"
    lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
    checks: list[Any] = []

    def require(condition: Callable[[], Any], *message: Any) -> None:
        # One after the other, so that each may rely on those before it.
        with tf.control_dependencies(checks):
            checks.append(tf.debugging.Assert(tf.reduce_all(condition()), list(message)))

    require(
        lambda: tf.equal(tf.shape(values)[:2], tf.shape(mask)),
        f"{name} and {mask_name} must share one shape [batch, length], got:",
        tf.shape(values)[:2],
        tf.shape(mask),
    )
    require(
        lambda: lengths > 0, f"a {side} is empty: it has no {what[:-1]} at all; lengths:", lengths
    )
    require(
        lambda: tf.equal(mask, tf.sequence_mask(lengths, tf.shape(mask)[1])),
        f"{mask_name}: a row is not padded at its end only; mask:",
        mask,
    )
    if size is not None:
        require(
            lambda: (values >= 0) & (values < size),
            f"{name} must lie between 0 and {size - 1}, got:",
            values,
        )
    else:
        require(
            lambda: tf.math.is_finite(tf.cast(values, tf.float32)),
            f"{name} must be finite numbers, got:",
            values,
        )
    if limit is not None:
        require(
            lambda: tf.shape(mask)[1] <= limit,
            f"a {side} is too long: the model has positions for {limit} {what}; lengths:",
            lengths,
        )
    with tf.control_dependencies(checks):
        return tf.identity(values), tf.identity(mask)
