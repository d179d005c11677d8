"""Transformer encoder: a stack of self-attention blocks over the source [Vaswani 2017, section
3.1].
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.config import TransformerConfig
from keras_s2s.layers.contracts import Encoder
from keras_s2s.layers.state import Memory
from keras_s2s.layers.transformer.relative_positions import square_biases
from keras_s2s.layers.transformer.stack import TransformerBlock, TransformerStack
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class TransformerEncoderBlock(TransformerBlock):
    """A block of self-attention and feed-forward, each with a residual."""

    bidirectional = True

    def call(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        training: bool | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Computes the block.

        Args:
            x: float tensor `[B, S, hidden_dim]`.
            mask: bool `[B, 1, 1, S]`, True = attend; or None.
            bias: float32, broadcastable to `[B, H, S, S]`, added to scores; or None.

        Returns:
            float tensor `[B, S, hidden_dim]`.
        """
        y = self._before("self_attention", x, training)
        y = self.self_attention(y, y, mask=mask, training=training, bias=bias)
        x = self._after("self_attention", x, y, training)
        y = self._before("feed_forward", x, training)
        y = self.feed_forward(y, training=training)
        return self._after("feed_forward", x, y, training)

    def compute_output_shape(self, x_shape: Any) -> Any:
        return x_shape


@keras.saving.register_keras_serializable("keras_s2s")
class TransformerEncoder(TransformerStack, Encoder):
    """A Transformer encoder: a stack of blocks.

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
        super().__init__(config, block=TransformerEncoderBlock, **kwargs)

    @property
    def output_dim(self) -> int:
        """Width of the outputs."""
        return self.config.hidden_dim

    def build(self, tokens_shape: Any) -> None:
        self._build_stack(tokens_shape)

    def call(self, tokens: Tensor, mask: Tensor, training: bool | None = None) -> Memory:
        """Encodes token vectors `[B, S, hidden_dim]` under `mask`, bool `[B, S]`."""
        x = tokens
        length = ops.shape(tokens)[1]
        for block, attended, bias in self._blocks_with_bias(
            mask[:, None, None, :], lambda tables: square_biases(tables, length)
        ):
            x = self._trained(
                block,
                lambda x, bias, block=block, mask=attended: block(
                    x, mask=mask, training=training, bias=bias
                ),
                training,
                x,
                bias,
            )
        return Memory(self._ending(x, training), mask, [])

    def compute_output_spec(
        self, tokens: Tensor, mask: Tensor, training: bool | None = None
    ) -> Memory:
        values = keras.KerasTensor(tokens.shape, dtype=self.compute_dtype)
        return Memory(values, keras.KerasTensor(mask.shape, dtype="bool"), [])
