"""Positions added to token embeddings."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_s2s.layers.base import ExplicitMaskLayer


def sinusoidal_table(positions: Any, dim: int) -> Any:
    """Sine at even and cosine at odd components [Vaswani 2017, section 3.5].

    Args:
        positions: int tensor `[T]`.
        dim: width of a vector.

    Returns:
        float32 tensor `[T, dim]`:
        `PE(p, 2i) = sin(p / 10000^(2i/dim))`, `PE(p, 2i+1) = cos(p / 10000^(2i/dim))`.
    """
    pairs = (dim + 1) // 2
    rates = ops.exp(ops.arange(pairs, dtype="float32") * (-2.0 * math.log(10000.0) / dim))
    angles = ops.cast(positions, "float32")[:, None] * rates[None, :]
    # [T, pairs, 2] -> [T, 2 * pairs]: sine and cosine of a rate stand side by side.
    table = ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)
    return ops.reshape(table, (-1, 2 * pairs))[:, :dim]


@keras.saving.register_keras_serializable("keras_s2s")
class LearnedPositions(ExplicitMaskLayer):
    """A trained vector per position.

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

    def call(self, positions: Any) -> Any:
        """Look up `positions`, an int tensor `[T]`; returns `[T, dim]`."""
        return ops.take(self.table, positions, axis=0)

    def compute_output_shape(self, positions_shape: Any) -> tuple[Any, ...]:
        return (*positions_shape, self.dim)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_positions": self.max_positions, "dim": self.dim}
