"""What the blocks of a Transformer encoder and decoder have in common."""

from __future__ import annotations

from typing import Any

import keras

from keras_s2s.config import TransformerConfig
from keras_s2s.layers import kernels
from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.feed_forward import FeedForward
from keras_s2s.layers.multi_head_attention import MultiHeadAttention


class TransformerBlock(ExplicitMaskLayer):
    """Base of a block: its parts by configuration, and the residual frame around each of them.

    Args:
        config: a `TransformerConfig`, or the mapping it is made of.
    """

    def __init__(self, config: TransformerConfig | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = TransformerConfig.model_validate(config)
        self.dropout = keras.layers.Dropout(self.config.dropout, name="dropout")

    def _attention(self, name: str) -> MultiHeadAttention:
        config = self.config
        return MultiHeadAttention(
            hidden_dim=config.hidden_dim,
            num_heads=config.num_heads,
            use_bias=config.use_bias,
            dropout=config.attention_dropout,
            name=name,
        )

    def _feed_forward(self, name: str) -> FeedForward:
        config = self.config
        return FeedForward(
            hidden_dim=config.hidden_dim,
            intermediate_dim=config.intermediate_dim,
            activation=config.activation,
            gated=config.gated,
            use_bias=config.use_bias,
            dropout=config.activation_dropout,
            name=name,
        )

    def _before(self, norm: keras.layers.Layer, x: Any) -> Any:
        """What a sub-layer reads."""
        return kernels.layer_norm(norm, x) if self.config.norm_order == "pre" else x

    def _after(self, norm: keras.layers.Layer, x: Any, update: Any, training: bool | None) -> Any:
        """The residual sum of `x` and a sub-layer's `update`."""
        x = x + kernels.dropout(self.dropout, update, training)
        return kernels.layer_norm(norm, x) if self.config.norm_order == "post" else x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump()}


def layer_norm(config: TransformerConfig, name: str) -> keras.layers.LayerNormalization:
    """Layer normalisation as the configuration has it."""
    return keras.layers.LayerNormalization(epsilon=config.norm_epsilon, name=name)
