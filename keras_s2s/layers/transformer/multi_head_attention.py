"""Multi-head scaled dot-product attention [Vaswani 2017, section 3.2]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class MultiHeadAttention(ExplicitMaskLayer):
    """Multi-head attention, in parts that training and decoding both use.

    `call` is `attend(project_query(q), *project_memory(m))`. A decoding step calls the parts,
    so that keys and values are computed once: those of the source before the loop, those of
    each target position when it is generated.

    Args:
        hidden_dim: model width.
        num_heads: H, the number of heads.
        head_dim: D, the width of a head; None makes it `hidden_dim / num_heads`.
        scale: divide scores by sqrt(D).
        use_bias: biases in the four projections.
        dropout: on attention weights, while training.
    """

    def __init__(
        self,
        *,
        hidden_dim: int,
        num_heads: int,
        head_dim: int | None = None,
        scale: bool = True,
        use_bias: bool = True,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        # Inputs keep their dtype: a bias is float32 whatever the projections compute in.
        super().__init__(autocast=False, **kwargs)
        if head_dim is None and hidden_dim % num_heads:
            raise ValueError(
                f"hidden_dim={hidden_dim} is not a multiple of num_heads={num_heads}, "
                "and head_dim is not given"
            )
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.head_dim = head_dim or hidden_dim // num_heads
        self.scale = scale
        self.use_bias = use_bias
        width = self.num_heads * self.head_dim
        self.query_dense = keras.layers.Dense(width, use_bias=use_bias, name="query")
        self.key_dense = keras.layers.Dense(width, use_bias=use_bias, name="key")
        self.value_dense = keras.layers.Dense(width, use_bias=use_bias, name="value")
        self.output_dense = keras.layers.Dense(hidden_dim, use_bias=use_bias, name="output")
        self.dropout = keras.layers.Dropout(dropout, name="dropout")

    def build(self, query_shape: Any, memory_shape: Any) -> None:
        self.query_dense.build(query_shape)
        self.key_dense.build(memory_shape)
        self.value_dense.build(memory_shape)
        self.output_dense.build((*query_shape[:-1], self.num_heads * self.head_dim))

    @property
    def _scale(self) -> float | None:
        return self.head_dim**-0.5 if self.scale else None

    def project_query(self, query: Tensor) -> Tensor:
        """Projects `[B, T, hidden_dim]` to queries `[B, H, T, D]`, scaled where scores are."""
        return kernels.heads((self.query_dense,), query, self.num_heads, self._scale)[0]

    def project_memory(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Projects `[B, S, Dm]` to keys and values, `[B, H, S, D]` each."""
        keys = kernels.linear(self.key_dense, memory)
        values = kernels.linear(self.value_dense, memory)
        return kernels.split_heads(keys, self.num_heads), kernels.split_heads(
            values, self.num_heads
        )

    def project_own(self, x: Tensor) -> Sequence[Tensor]:
        """Projects one tensor `[B, T, hidden_dim]` to queries, keys and values: `[B, H, T, D]`
        each.
        """
        denses = (self.query_dense, self.key_dense, self.value_dense)
        return kernels.heads(denses, x, self.num_heads, self._scale)

    def alone(self, x: Tensor) -> Tensor:
        """Computes what one position gets that attends to itself alone: `[B, T, hidden_dim]`."""
        return kernels.linear(self.output_dense, kernels.linear(self.value_dense, x))

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None = None,
        training: bool | None = None,
        return_weights: bool = True,
        bias: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Computes attention from projected tensors.

        Args:
            query: `[B, H, T, D]`, as `project_query` returns it.
            key, value: `[B, H, S, D]`.
            mask: bool, broadcastable to `[B, H, T, S]`, True = attend.
            return_weights: False may spare computing them apart.
            bias: float32, broadcastable to `[B, H, T, S]`, added to the scores.

        Returns:
            `(output [B, T, hidden_dim], weights [B, H, T, S] or None)`.
        """
        weights = None
        if return_weights or training is not False:

            def dropout(x: Tensor) -> Tensor:
                return kernels.dropout(self.dropout, x, training)

            context, weights = kernels.attention(query, key, value, mask, dropout, bias)
        else:
            context = kernels.context(query, key, value, mask, bias)
        return kernels.linear(self.output_dense, kernels.merge_heads(context)), weights

    def call(
        self,
        query: Tensor,
        memory: Tensor,
        mask: Tensor | None = None,
        training: bool | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Computes attention from `query [B, T, hidden_dim]` to `memory [B, S, Dm]`; `[B, T,
        hidden_dim]`.
        """
        key, value = self.project_memory(memory)
        output, _ = self.attend(self.project_query(query), key, value, mask, training, False, bias)
        return output

    def compute_output_shape(self, query_shape: Any, memory_shape: Any) -> Any:
        return (*query_shape[:-1], self.hidden_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "num_heads": self.num_heads,
            "head_dim": self.head_dim,
            "scale": self.scale,
            "use_bias": self.use_bias,
            "dropout": self.dropout.rate,
        }
