"""Input embeddings: token vectors with positions."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.config import EmbeddingConfig
from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.positions import LearnedPositions, places_from
from keras_s2s.layers.token_types import TokenTypes
from keras_s2s.moved_modules import moved_name
from keras_s2s.typing import Tensor


def token_table(vocab_size: int, dim: int, *, name: str) -> keras.layers.ReversibleEmbedding:
    """Returns the embedding matrix `[vocab_size, dim]`, which a tied output projection transposes.

    The standard deviation dim^-0.5 gives vectors of unit length, and logits of unit variance
    where the table is tied.
    """
    return keras.layers.ReversibleEmbedding(
        vocab_size,
        dim,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=dim**-0.5),
        name=name,
    )


@keras.saving.register_keras_serializable("keras_s2s")
class InputEmbedding(ExplicitMaskLayer):
    """Scales token vectors, adds positions, and applies normalisation and dropout.

    Args:
        config: an `EmbeddingConfig`, or the mapping it is made of.
        output_dim: width of the stack above, where `config.projection` is true.

    Example:
        >>> layer = InputEmbedding({"positions": "sinusoidal", "scale": True})
        >>> layer(keras.random.normal((2, 5, 8))).shape
        (2, 5, 8)
    """

    def __init__(
        self,
        config: EmbeddingConfig | dict[str, Any],
        *,
        output_dim: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = EmbeddingConfig.model_validate(config)
        self.output_dim = output_dim
        if self.config.projection and output_dim is None:
            raise ValueError("projection: true needs output_dim, the width to project to")
        self.dropout = keras.layers.Dropout(self.config.dropout, name="dropout")
        self.norm = (
            keras.layers.LayerNormalization(epsilon=self.config.norm_epsilon, name="norm")
            if self.config.norm
            else None
        )
        self.positions: LearnedPositions | None = None
        self.token_types = (
            TokenTypes(self.config.token_types, name="token_types")
            if self.config.token_types
            else None
        )
        self.projection = (
            keras.layers.Dense(output_dim, name="projection") if self.config.projection else None
        )

    def build(self, tokens_shape: Any) -> None:
        dim = tokens_shape[-1]
        if self.config.positions == "learned":
            assert self.config.max_positions is not None
            self.positions = LearnedPositions(
                max_positions=self.config.max_positions + self.config.position_offset,
                dim=dim,
                name="positions",
            )
            self.positions.build((None,))
        if self.norm is not None:
            self.norm.build(tokens_shape)
        if self.token_types is not None:
            self.token_types.build(tokens_shape)
        if self.projection is not None:
            self.projection.build(tokens_shape)

    def _check_length(self, length: int | None) -> None:
        """Raises an error for positions that do not exist, which some backends read as zeros or
        NaN.
        """
        most = self.config.max_positions
        if length is not None and most is not None and length > most:
            raise ValueError(
                f"{self.name}: rows have {length} ids, padding included, but the model has "
                f"positions for {most}; shorten the rows"
            )

    def call(self, tokens: Tensor, start: Tensor = 0, training: bool | None = None) -> Tensor:
        """Prepares token vectors for a stack.

        Args:
            tokens: float tensor `[B, T, D]`.
            start: place of the first token in its row, a scalar. Decoding passes its step index;
                or that of each row, int `[B]`, and then places beyond the last of learned positions
                have its vector.

        Returns:
            float tensor `[B, T, D]`; `[B, T, output_dim]` where there is a projection.

        Raises:
            ValueError: rows are longer than the table of learned positions.
        """
        x = tokens
        self._check_length(x.shape[1])
        dim = x.shape[-1]
        if self.config.zero_start:
            there = places_from(start, ops.shape(x)[1]) > 0
            x = ops.where(there[..., None], x, ops.zeros_like(x))
        if self.config.scale:
            x = x * ops.cast(dim**0.5, x.dtype)
        if self.norm is not None and self.config.norm_place == "before_positions":
            x = kernels.layer_norm(self.norm, x)
        if self.token_types is not None:
            x = kernels.call(self.token_types, x)
        if self.config.positions != "none":
            length = kernels.shape(x)[1]
            if self.config.position_offset:
                start = start + self.config.position_offset
            if self.positions is not None:
                places = places_from(start, length)
                if len(places.shape) > 1:
                    places = ops.minimum(places, self.positions.max_positions - 1)
                table = kernels.call(self.positions, places)
            else:
                table = kernels.sinusoids(start, length, dim, self.config.sinusoids)
            x = x + ops.cast(table, x.dtype)
        if self.norm is not None and self.config.norm_place == "after_positions":
            x = kernels.layer_norm(self.norm, x)
        if self.config.activation == "relu":
            # After dropout it would be the same: zeros and positive factors pass through relu.
            x = ops.relu(x)
        x = kernels.dropout(self.dropout, x, training)
        return x if self.projection is None else kernels.linear(self.projection, x)

    def compute_output_shape(self, tokens_shape: Any) -> Any:
        if self.projection is None:
            return tokens_shape
        return (*tokens_shape[:-1], self.output_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "config": self.config.model_dump(),
            "output_dim": self.output_dim,
        }


def __getattr__(name: str) -> Any:
    """Returns what was in this module before, with a warning."""
    return moved_name(__name__, name)
