"""Random numbers that depend on a row's own seed alone, and draws made with them.

The numbers come from the finaliser of MurmurHash3 (Austin Appleby, public domain) applied to a
seed and counters. The int32 products wrap around alike on every backend, so that a row has the
same draws alone, in any batch and on any backend, which the backends' own random numbers do not
guarantee.
"""

from __future__ import annotations

from keras import ops

from keras_s2s.typing import Tensor


def uniform(seeds: Tensor, index: Tensor) -> Tensor:
    """Returns numbers in [0, 1) from each int32 seed and the step, float32; both are broadcast."""
    # The 24 upper bits are as many as a float32 holds.
    return ops.cast(_shift_right(_bits(seeds, index), 8), "float32") * (2.0**-24)


def gumbel(seeds: Tensor, index: Tensor, places: Tensor) -> Tensor:
    """Draws from the standard Gumbel distribution, once for each place.

    The N largest of `log_weights + gumbel` are N draws without replacement, in the order drawn
    [Vieira 2014].

    Args:
        seeds: int32 `[B]`.
        index: the step, a scalar.
        places: int32 `[B, N]`, a number for each draw.

    Returns:
        float32 `[B, N]`.
    """
    bits = _mix(_bits(seeds, index)[:, None] + _mix(places + 0x1B873593))
    # Half a step up, so that neither logarithm sees a zero; the one below is that of 1 - 2^-25.
    u = (ops.cast(_shift_right(bits, 8), "float32") + 0.5) * (2.0**-24)
    return -ops.log(ops.maximum(-ops.log(u), 3e-8))


def each_own(seeds: Tensor, count: int) -> Tensor:
    """Returns a seed for each of `count` rows of a source, the first with its own: int32 `[B *
    count]`.
    """
    if count == 1:
        return seeds
    rows = ops.arange(count, dtype="int32")[None]
    own = ops.where(rows == 0, seeds[:, None], _mix(seeds[:, None] + _mix(rows * 668265263)))
    return ops.reshape(own, (-1,))


def seed_of(seeds: Tensor, numbers: Tensor) -> Tensor:
    """Returns a seed for each pair of a seed and a number, int32 that are broadcast."""
    return _bits(seeds, numbers)


def draw(log_weights: Tensor, u: Tensor) -> Tensor:
    """Draws an index in proportion to `exp(log_weights [R, N])`, by inversion at `u [R]` in [0,
    1).
    """
    weights = ops.exp(log_weights - ops.max(log_weights, axis=-1, keepdims=True))
    cumulative = ops.cumsum(weights, axis=-1)
    threshold = u[:, None] * cumulative[:, -1:]
    below = ops.sum(ops.cast(cumulative <= threshold, "int32"), axis=-1)
    return ops.minimum(below, log_weights.shape[-1] - 1)


def _bits(seeds: Tensor, index: Tensor) -> Tensor:
    return _mix(seeds + _mix(ops.cast(index, "int32") + 0x3C6EF372))


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Shifts int32 right logically: the sign bit moves like any other."""
    return ops.bitwise_and(ops.right_shift(x, bits), (1 << (32 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = ops.bitwise_xor(x, _shift_right(x, 16)) * -2048144789
    x = ops.bitwise_xor(x, _shift_right(x, 13)) * -1028477387
    return ops.bitwise_xor(x, _shift_right(x, 16))
