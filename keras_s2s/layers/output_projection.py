"""The projection of hidden vectors to logits over the target vocabulary."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.config import OutputTransformConfig
from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.output_transform import OutputTransform
from keras_s2s.typing import Tensor


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
