"""Multi-head scaled dot-product attention [Vaswani 2017, section 3.2]."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.masks import masked_softmax


@keras.saving.register_keras_serializable("keras_s2s")
class MultiHeadAttention(ExplicitMaskLayer):
    """Attention with H heads, in pieces that training and decoding both use.

    `call` is `attend(project_query(q), *project_memory(m))`. A decoding step calls the pieces,
    so that keys and values are computed once: those of the source before the loop, those of
    each target position when it is generated.

    Args:
        hidden_dim: model width; must be a multiple of `num_heads`.
        num_heads: H.
        use_bias: biases in the four projections.
        dropout: on attention weights, while training.
    """

    def __init__(
        self,
        *,
        hidden_dim: int,
        num_heads: int,
        use_bias: bool = True,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if hidden_dim % num_heads:
            raise ValueError(f"hidden_dim={hidden_dim} is not a multiple of num_heads={num_heads}")
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.head_dim = hidden_dim // num_heads
        self.use_bias = use_bias
        self.query_dense = keras.layers.Dense(hidden_dim, use_bias=use_bias, name="query")
        self.key_dense = keras.layers.Dense(hidden_dim, use_bias=use_bias, name="key")
        self.value_dense = keras.layers.Dense(hidden_dim, use_bias=use_bias, name="value")
        self.output_dense = keras.layers.Dense(hidden_dim, use_bias=use_bias, name="output")
        self.dropout = keras.layers.Dropout(dropout, name="dropout")

    def build(self, query_shape: Any, memory_shape: Any) -> None:
        self.query_dense.build(query_shape)
        self.key_dense.build(memory_shape)
        self.value_dense.build(memory_shape)
        self.output_dense.build((*query_shape[:-1], self.hidden_dim))

    def _split_heads(self, x: Any) -> Any:
        # [B, T, H*D] -> [B, H, T, D]
        length = ops.shape(x)[1]
        x = ops.reshape(x, (-1, length, self.num_heads, self.head_dim))
        return ops.transpose(x, (0, 2, 1, 3))

    def project_query(self, query: Any) -> Any:
        """`[B, T, hidden_dim]` -> scaled queries `[B, H, T, D]`."""
        x = self.query_dense(query)
        return self._split_heads(x * ops.cast(self.head_dim**-0.5, x.dtype))

    def project_memory(self, memory: Any) -> tuple[Any, Any]:
        """`[B, S, Dm]` -> keys and values, `[B, H, S, D]` each."""
        return self._split_heads(self.key_dense(memory)), self._split_heads(
            self.value_dense(memory)
        )

    def attend(
        self, query: Any, key: Any, value: Any, mask: Any = None, training: bool | None = None
    ) -> tuple[Any, Any]:
        """Attend with projected tensors.

        Args:
            query: `[B, H, T, D]`, scaled.
            key, value: `[B, H, S, D]`.
            mask: bool, broadcastable to `[B, H, T, S]`, True = attend.

        Returns:
            `(output [B, T, hidden_dim], weights [B, H, T, S])`.
        """
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
        weights = masked_softmax(scores, mask)
        context = ops.matmul(self.dropout(weights, training=training), value)
        # [B, H, T, D] -> [B, T, H*D]
        length = ops.shape(context)[2]
        context = ops.reshape(
            ops.transpose(context, (0, 2, 1, 3)), (-1, length, self.num_heads * self.head_dim)
        )
        return self.output_dense(context), weights

    def call(self, query: Any, memory: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Attend from `query [B, T, hidden_dim]` to `memory [B, S, Dm]`; `[B, T, hidden_dim]`."""
        key, value = self.project_memory(memory)
        output, _ = self.attend(self.project_query(query), key, value, mask, training)
        return output

    def compute_output_shape(self, query_shape: Any, memory_shape: Any) -> Any:
        return (*query_shape[:-1], self.hidden_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "num_heads": self.num_heads,
            "use_bias": self.use_bias,
            "dropout": self.dropout.rate,
        }
