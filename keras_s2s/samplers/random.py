"""Random sampling, from the whole distribution or from the k likeliest ids."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_s2s.samplers.greedy import Greedy
from keras_s2s.samplers.sampler import Plan


class Random(Greedy):
    """Draws the next id from the model's distribution.

    Every row has a seed of its own, and the draw of a step is a function of that seed and the
    step alone: a row gets the same draws alone, in any batch, and on any backend.

    Args:
        temperature: divides the logits; below 1 sharpens, above 1 flattens.
        top_k: draw from the `top_k` likeliest ids only [Fan 2018]; None draws from all.

    Raises:
        ValueError: for a temperature that is not positive or a `top_k` below 1.
    """

    def __init__(self, *, temperature: float = 1.0, top_k: int | None = None) -> None:
        if not temperature > 0:
            raise ValueError(f"temperature={temperature} must be above 0; greedy is its limit")
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k={top_k} must be at least 1")
        self.temperature = float(temperature)
        self.top_k = top_k

    def begin(self, batch: Any, plan: Plan, seeds: Any = None) -> Any:
        if seeds is None:
            raise ValueError(f"{type(self).__name__} draws and needs a seed for each row")
        return {**super().begin(batch, plan), "seeds": ops.cast(seeds, "int32")}

    def choose(self, log_probs: Any, search: Any, index: Any) -> Any:
        log_probs = log_probs / self.temperature
        if self.top_k is None:
            return draw(log_probs, uniform(search["seeds"], index))
        k = min(self.top_k, log_probs.shape[-1])
        values, ids = ops.top_k(log_probs, k)
        rank = draw(values, uniform(search["seeds"], index))
        return ops.cast(ops.take_along_axis(ids, rank[:, None], axis=-1)[:, 0], "int32")


class TopK(Random):
    """Draws from the `top_k` likeliest ids [Fan 2018].

    Args:
        top_k: how many ids stay.
        temperature: divides the logits.
    """

    def __init__(self, top_k: int = 50, *, temperature: float = 1.0) -> None:
        super().__init__(temperature=temperature, top_k=top_k)


def draw(log_weights: Any, u: Any) -> Any:
    """Index drawn in proportion to `exp(log_weights [R, N])`, by inverting at `u [R]` in [0, 1)."""
    weights = ops.exp(log_weights - ops.max(log_weights, axis=-1, keepdims=True))
    cumulative = ops.cumsum(weights, axis=-1)
    threshold = u[:, None] * cumulative[:, -1:]
    below = ops.sum(ops.cast(cumulative <= threshold, "int32"), axis=-1)
    return ops.minimum(below, log_weights.shape[-1] - 1)


def uniform(seeds: Any, index: Any) -> Any:
    """One number in [0, 1) for each row: float32 `[R]` from int32 `seeds [R]` and the step.

    A counter hashed twice by the finaliser of MurmurHash3 (Austin Appleby, public domain). The
    int32 products wrap around alike on every backend, which the backends' own generators do
    not promise.
    """
    bits = _mix(seeds + _mix(ops.cast(index, "int32") + 0x3C6EF372))
    # The 24 upper bits are as many as a float32 holds.
    return ops.cast(_shift_right(bits, 8), "float32") * (2.0**-24)


def _shift_right(x: Any, bits: int) -> Any:
    """Logical shift of int32: the sign bit moves like any other."""
    return ops.bitwise_and(ops.right_shift(x, bits), (1 << (32 - bits)) - 1)


def _mix(x: Any) -> Any:
    x = ops.bitwise_xor(x, _shift_right(x, 16)) * -2048144789
    x = ops.bitwise_xor(x, _shift_right(x, 13)) * -1028477387
    return ops.bitwise_xor(x, _shift_right(x, 16))
