"""Position-wise feed-forward network [Vaswani 2017, section 3.3], plain or gated."""

from __future__ import annotations

from typing import Any

import keras

from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.kernels.operations import ACTIVATIONS
from keras_s2s.layers.transformer.half_precision import own_dtype, wide_dtype, widened
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class FeedForward(ExplicitMaskLayer):
    """The feed-forward network `W_2 act(W_1 x)`, or gated `W_2 (act(W_g x) * W_1 x)` [Shazeer
    2020].

    Args:
        hidden_dim: model width.
        intermediate_dim: width inside.
        activation: relu, gelu (exact), gelu_tanh, gelu_sigmoid (`x sigmoid(1.702 x)`) or silu.
        gated: multiply by a second projection.
        use_bias: biases in the projections.
        dropout: inside, after the activation.
    """

    def __init__(
        self,
        *,
        hidden_dim: int,
        intermediate_dim: int,
        activation: str = "relu",
        gated: bool = False,
        use_bias: bool = True,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation={activation!r} is not one of {sorted(ACTIVATIONS)}")
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.activation = activation
        self.gated = gated
        self.use_bias = use_bias
        dense = keras.layers.Dense
        self.gate_dense = dense(intermediate_dim, use_bias=use_bias, name="gate") if gated else None
        self.inner_dense = dense(intermediate_dim, use_bias=use_bias, name="inner")
        self.outer_dense = dense(
            hidden_dim, use_bias=use_bias, dtype=own_dtype(self.compute_dtype), name="outer"
        )
        self.dropout = keras.layers.Dropout(
            dropout, dtype=wide_dtype(self.compute_dtype), name="dropout"
        )

    def build(self, x_shape: Any) -> None:
        self.inner_dense.build(x_shape)
        if self.gate_dense is not None:
            self.gate_dense.build(x_shape)
        self.outer_dense.build((*x_shape[:-1], self.intermediate_dim))

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        """Computes `[B, T, hidden_dim]` -> `[B, T, hidden_dim]`; float32 under a float16 policy."""
        if self.gate_dense is not None:
            gate = widened(
                kernels.activated(self.activation, self.gate_dense, x), self.compute_dtype
            )
            inner = gate * widened(kernels.linear(self.inner_dense, x), self.compute_dtype)
        else:
            inner = kernels.activated(self.activation, self.inner_dense, x)
            inner = widened(inner, self.compute_dtype)
        inner = kernels.dropout(self.dropout, inner, training)
        return kernels.linear(self.outer_dense, inner)

    def compute_output_shape(self, x_shape: Any) -> Any:
        return x_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "intermediate_dim": self.intermediate_dim,
            "activation": self.activation,
            "gated": self.gated,
            "use_bias": self.use_bias,
            "dropout": self.dropout.rate,
        }
