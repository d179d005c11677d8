"""Token types, which models of text pairs add to their embeddings (BERT's segments)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class TokenTypes(ExplicitMaskLayer):
    """Adds the vector of the first token type, that of a text which is one segment (BERT).

    Args:
        num_types: rows of the table; the others are there for checkpoints that have them.
    """

    def __init__(self, num_types: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_types = num_types

    def build(self, tokens_shape: Any) -> None:
        self.table = self.add_weight(
            name="embeddings",
            shape=(self.num_types, tokens_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )

    def call(self, tokens: Tensor) -> Tensor:
        """Adds the vector to `tokens`, `[B, T, D]`."""
        return tokens + ops.cast(self.table[0], tokens.dtype)

    def compute_output_shape(self, tokens_shape: Any) -> Any:
        return tokens_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_types": self.num_types}
