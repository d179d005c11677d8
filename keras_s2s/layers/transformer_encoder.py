"""Encoder: a stack of self-attention blocks over the source [Vaswani 2017, section 3.1]."""

from __future__ import annotations

from typing import Any

import keras

from keras_s2s.config import TransformerConfig
from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.state import Memory
from keras_s2s.layers.transformer import TransformerBlock, layer_norm


@keras.saving.register_keras_serializable("keras_s2s")
class TransformerEncoderBlock(TransformerBlock):
    """Self-attention and feed-forward, each in a residual frame."""

    def __init__(self, config: TransformerConfig | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.self_attention = self._attention("self_attention")
        self.self_attention_norm = layer_norm(self.config, "self_attention_norm")
        self.feed_forward = self._feed_forward("feed_forward")
        self.feed_forward_norm = layer_norm(self.config, "feed_forward_norm")

    def build(self, x_shape: Any) -> None:
        self.self_attention.build(x_shape, x_shape)
        self.self_attention_norm.build(x_shape)
        self.feed_forward.build(x_shape)
        self.feed_forward_norm.build(x_shape)

    def call(self, x: Any, mask: Any = None, training: bool | None = None) -> Any:
        """`x [B, S, hidden_dim]`, `mask` bool `[B, 1, 1, S]`; returns `[B, S, hidden_dim]`."""
        y = self._before(self.self_attention_norm, x)
        y = self.self_attention(y, y, mask=mask, training=training)
        x = self._after(self.self_attention_norm, x, y, training)
        y = self.feed_forward(self._before(self.feed_forward_norm, x), training=training)
        return self._after(self.feed_forward_norm, x, y, training)

    def compute_output_shape(self, x_shape: Any) -> Any:
        return x_shape


@keras.saving.register_keras_serializable("keras_s2s")
class TransformerEncoder(ExplicitMaskLayer):
    """The stack.

    Args:
        config: a `TransformerConfig`, or the mapping it is made of.

    Example:
        >>> encoder = TransformerEncoder(
        ...     {"type": "transformer", "hidden_dim": 8, "num_heads": 2,
        ...      "intermediate_dim": 16, "num_layers": 2})
        >>> memory = encoder(keras.random.normal((2, 5, 8)), mask=keras.ops.ones((2, 5), "bool"))
        >>> memory.values.shape
        (2, 5, 8)
    """

    def __init__(self, config: TransformerConfig | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = TransformerConfig.model_validate(config)
        self.blocks = [
            TransformerEncoderBlock(self.config, name=f"layer_{i}")
            for i in range(self.config.num_layers)
        ]
        self.norm = layer_norm(self.config, "norm") if self.config.has_final_norm else None

    @property
    def output_dim(self) -> int:
        """Width of the outputs."""
        return self.config.hidden_dim

    def build(self, tokens_shape: Any) -> None:
        for block in self.blocks:
            block.build(tokens_shape)
        if self.norm is not None:
            self.norm.build(tokens_shape)

    def call(self, tokens: Any, mask: Any, training: bool | None = None) -> Memory:
        """Encode token vectors `[B, S, hidden_dim]` under `mask`, bool `[B, S]`."""
        x = tokens
        for block in self.blocks:
            x = block(x, mask=mask[:, None, None, :], training=training)
        if self.norm is not None:
            x = self.norm(x)
        return Memory(x, mask, [])

    def compute_output_spec(self, tokens: Any, mask: Any, training: bool | None = None) -> Memory:
        values = keras.KerasTensor(tokens.shape, dtype=self.compute_dtype)
        return Memory(values, keras.KerasTensor(mask.shape, dtype="bool"), [])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump()}
