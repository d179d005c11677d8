"""Positions added to token embeddings: sinusoidal or learned."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.typing import Tensor


def sinusoidal_rates(dim: int, layout: str) -> np.ndarray:
    """Returns the rates of sine and cosine: float32, `10000^(-2i/dim)` of pair i.

    tensor2tensor lets the last of `dim // 2` pairs have 1/10000: `10000^(-i/(dim//2 - 1))`.
    """
    if layout == "tensor2tensor":
        pairs = dim // 2
        # Exponents in float32, as every model with this layout has them.
        step = np.float32(-math.log(10000.0) / max(pairs - 1, 1))
        exponents = (np.arange(pairs, dtype="float32") * step).astype("float64")
    else:
        exponents = np.arange((dim + 1) // 2) * (-2.0 * math.log(10000.0) / dim)
    return np.exp(exponents).astype("float32")


def sinusoidal_table(positions: Tensor, dim: int, layout: str = "interleaved") -> Tensor:
    """Computes sine and cosine of positions at several rates [Vaswani 2017, section 3.5].

    Args:
        positions: int tensor `[T]`.
        dim: width of a vector.
        layout: `interleaved`: `PE(p, 2i) = sin(p / 10000^(2i/dim))` and `PE(p, 2i+1)` the cosine;
            `halves`: all sines of these before all cosines; `tensor2tensor`: so, too, at the
            rates of `sinusoidal_rates`, and with a zero at the end of an odd width.

    Returns:
        float32 tensor `[T, dim]`.
    """
    rates = sinusoidal_rates(dim, layout)
    angles = ops.cast(positions, "float32")[:, None] * ops.convert_to_tensor(rates)[None, :]
    sines, cosines = ops.sin(angles), ops.cos(angles)
    if layout == "interleaved":
        # [T, pairs, 2] -> [T, 2 * pairs]: sine and cosine of a rate stand side by side.
        table = ops.stack([sines, cosines], axis=-1)
        return ops.reshape(table, (-1, 2 * len(rates)))[:, :dim]
    if layout == "halves":
        return ops.concatenate([sines, cosines[:, : dim // 2]], axis=-1)
    ending = [ops.zeros_like(angles[:, :1])] if dim % 2 else []
    return ops.concatenate([sines, cosines, *ending], axis=-1)


def places_from(start: Tensor, length: Tensor) -> Tensor:
    """Returns `length` places one after the other: int32 `[length]` from a scalar on, `[B, length]`
    from `start [B]` on.
    """
    places = ops.arange(length, dtype="int32")
    start = ops.cast(start, "int32")
    return start[:, None] + places if len(start.shape) else places + start


@keras.saving.register_keras_serializable("keras_s2s")
class LearnedPositions(ExplicitMaskLayer):
    """A trained vector for each position.

    Args:
        max_positions: rows of the table; a position beyond it does not exist.
        dim: width of a vector.
    """

    def __init__(self, *, max_positions: int, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_positions = max_positions
        self.dim = dim

    def build(self, input_shape: Any = None) -> None:
        self.table = self.add_weight(
            name="embeddings",
            shape=(self.max_positions, self.dim),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )

    def call(self, positions: Tensor) -> Tensor:
        """Looks up `positions`, an int tensor `[..., T]`; returns `[..., T, dim]`."""
        return ops.take(self.table, positions, axis=0)

    def compute_output_shape(self, positions_shape: Any) -> tuple[Any, ...]:
        return (*positions_shape, self.dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_positions": self.max_positions, "dim": self.dim}
