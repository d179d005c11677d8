"""Input embeddings (token vectors with positions) and the output projection to logits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.config import EmbeddingConfig, OutputTransformConfig
from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.output_transform import OutputTransform
from keras_s2s.layers.positions import LearnedPositions, places_from
from keras_s2s.layers.token_types import TokenTypes
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


@keras.saving.register_keras_serializable("keras_s2s")
class OutputProjection(ExplicitMaskLayer):
    """Projects hidden vectors to logits over the target vocabulary.

    Args:
        vocab_size: V, the number of ids.
        table: the target's token table where the projection is tied to it [Press 2017];
            None makes a matrix of its own.
        use_bias: add a bias `[V]`.
        train_bias: whether the bias is trained, or stays as it is.
        scale: multiply hidden vectors by D^-0.5 first.
        transform: an `OutputTransformConfig`, or the mapping it is made of: layers before the
            projection; None for none.

    Call arguments:
        hidden: float tensor `[..., D]`.

    Returns:
        Logits, a float32 tensor `[..., V]` whatever the compute dtype is: a softmax over a
        whole vocabulary loses too much in half precision.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        table: keras.layers.ReversibleEmbedding | None = None,
        use_bias: bool = True,
        train_bias: bool = True,
        scale: bool = False,
        transform: OutputTransformConfig | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.transform = None if transform is None else OutputTransform(transform, name="transform")
        self.vocab_size = vocab_size
        self.use_bias = use_bias
        self.train_bias = train_bias
        self.scale = scale
        self.table = table
        self.dense = (
            None
            if table is not None
            else keras.layers.Dense(vocab_size, use_bias=False, name="dense")
        )

    def build(self, hidden_shape: Any) -> None:
        if self.transform is not None:
            self.transform.build(hidden_shape)
        if self.dense is not None:
            self.dense.build(hidden_shape)
        self.bias = (
            self.add_weight(
                name="bias",
                shape=(self.vocab_size,),
                initializer="zeros",
                trainable=self.train_bias,
            )
            if self.use_bias
            else None
        )

    def call(self, hidden: Tensor) -> Tensor:
        hidden = self._projected(hidden)
        if self.table is not None:
            return kernels.logits(self.table, hidden, self.bias)
        return kernels.with_bias(kernels.linear(self.dense, hidden), self.bias)

    def _projected(self, hidden: Tensor) -> Tensor:
        """Returns what is multiplied with the vectors of ids."""
        if self.transform is not None:
            hidden = kernels.call(self.transform, hidden)
        return hidden * hidden.shape[-1] ** -0.5 if self.scale else hidden

    def check_some_ids(self) -> None:
        """Raises an error where the logits of some ids alone cannot be computed.

        Raises:
            ValueError: the matrix is quantised.
        """
        layer: Any = self.dense if self.table is None else self.table
        mode = getattr(layer, "quantization_mode", None)
        if mode is not None:
            raise ValueError(
                f"a shortlist needs the vectors of single ids, and {layer.path} is quantised as "
                f"{mode!r}; generate with the model as it was before model.quantize(), or without "
                "a shortlist (shortlist=False)"
            )

    def of_ids(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what `over` needs to compute the logits of some ids.

        Args:
            ids: int `[U]`.

        Returns:
            their vectors `[D, U]`, and their biases `[U]`, float32; zeros where there is no bias.
        """
        if self.table is not None:
            vectors = ops.transpose(ops.take(self.table.embeddings, ids, axis=0))
        else:
            assert self.dense is not None
            vectors = ops.take(self.dense.kernel, ids, axis=1)
        bias = (
            ops.zeros_like(ids, dtype="float32")
            if self.bias is None
            else ops.cast(ops.take(self.bias, ids, axis=0), "float32")
        )
        return ops.cast(vectors, self.compute_dtype), bias

    def over(self, hidden: Tensor, vectors: Tensor, bias: Tensor) -> Tensor:
        """Returns the logits of the ids of which `of_ids` returned vectors and biases.

        Args:
            hidden: float tensor `[..., D]`.
            vectors, bias: `[D, U]` and `[U]`.

        Returns:
            float32 `[..., U]`.
        """
        return kernels.with_bias(ops.matmul(self._projected(hidden), vectors), bias)

    def factors(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns what the logits are made of: `call(hidden)` is `vectors @ matrix.T + bias`.

        Returns:
            vectors `[..., D]`, the matrix `[V, D]`, and the bias `[V]` or None.
        """
        hidden = self._projected(hidden)
        if self.table is not None:
            matrix = ops.convert_to_tensor(self.table.embeddings)
        else:
            assert self.dense is not None
            matrix = ops.transpose(ops.convert_to_tensor(self.dense.kernel))
        # A cast reads a variable. TensorFlow, run eagerly, takes a variable that is first read
        # within a custom gradient for a further input of it.
        bias = None if self.bias is None else ops.cast(self.bias, self.bias.dtype)
        return hidden, ops.cast(matrix, self.compute_dtype), bias

    def compute_output_spec(self, hidden: Tensor) -> keras.KerasTensor:
        return keras.KerasTensor((*hidden.shape[:-1], self.vocab_size), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        table = None if self.table is None else keras.saving.serialize_keras_object(self.table)
        return {
            **super().get_config(),
            "vocab_size": self.vocab_size,
            "use_bias": self.use_bias,
            "train_bias": self.train_bias,
            "scale": self.scale,
            "transform": None if self.transform is None else self.transform.config.model_dump(),
            "table": table,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> OutputProjection:
        config = dict(config)
        if config["table"] is not None:
            config["table"] = keras.saving.deserialize_keras_object(config["table"])
        return cls(**config)
