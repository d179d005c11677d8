"""Base classes of a Transformer's blocks and stacks, for encoder and decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras

from keras_s2s.config import TransformerConfig
from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.transformer.checkpointing import recomputed
from keras_s2s.layers.transformer.feed_forward import FeedForward
from keras_s2s.layers.transformer.half_precision import narrowed, own_dtype, wide_dtype, widened
from keras_s2s.layers.transformer.multi_head_attention import MultiHeadAttention
from keras_s2s.layers.transformer.relative_positions import RelativePositions, masked_bias
from keras_s2s.typing import Tensor


class TransformerBlock(ExplicitMaskLayer):
    """Base class of blocks: their parts, and the residual around each of them.

    Args:
        config: a `TransformerConfig`, or the mapping it is made of.
        tied_to: a block whose self-attention, feed-forward layer and normalisations are this one's,
            too; None for parts of its own.

    Attributes:
        relative_positions: the block's own biases; None where the stack has one table for all
            of its blocks, or there are none.
    """

    #: Whether self-attention sees what comes after the query, too.
    bidirectional = False
    #: How many sub-layers have a residual sum, and dropout before it.
    sub_layers = 2

    def __init__(
        self,
        config: TransformerConfig | dict[str, Any],
        *,
        tied_to: TransformerBlock | None = None,
        **kwargs: Any,
    ) -> None:
        # Inputs keep their dtype: a bias is float32 whatever the parts compute in.
        super().__init__(autocast=False, **kwargs)
        self.config = TransformerConfig.model_validate(config)
        self.dropout = keras.layers.Dropout(
            self.config.dropout, dtype=wide_dtype(self.compute_dtype), name="dropout"
        )
        own = self.config.relative_positions
        self.relative_positions = (
            relative_positions(self.config, self.bidirectional) if own and own.per_layer else None
        )
        if tied_to is None:
            self.self_attention = self._attention("self_attention")
            self.self_attention_norm = self._norm("self_attention_norm")
        else:
            self.self_attention = tied_to.self_attention
            self.self_attention_norm = tied_to.self_attention_norm
        self._make_cross_attention()
        if tied_to is None:
            self.feed_forward = self._feed_forward("feed_forward")
            self.feed_forward_norm = self._norm("feed_forward_norm")
        else:
            self.feed_forward = tied_to.feed_forward
            self.feed_forward_norm = tied_to.feed_forward_norm

    def _make_cross_attention(self) -> None:
        """Makes the parts between self-attention and the feed-forward layer; here none."""

    def _build_cross_attention(self, x_shape: Any, *shapes: Any) -> None:
        """Builds what `_make_cross_attention` made."""

    def build(self, x_shape: Any, *shapes: Any) -> None:
        build_once(self.self_attention, x_shape, x_shape)
        build_once(self.self_attention_norm, x_shape)
        if self.relative_positions is not None:
            self.relative_positions.build()
        self._build_cross_attention(x_shape, *shapes)
        build_once(self.feed_forward, x_shape)
        build_once(self.feed_forward_norm, x_shape)

    def _attention(self, name: str) -> MultiHeadAttention:
        config = self.config
        return MultiHeadAttention(
            hidden_dim=config.hidden_dim,
            num_heads=config.num_heads,
            head_dim=config.head_dim,
            scale=config.scale_attention,
            use_bias=config.use_bias,
            dropout=config.attention_dropout,
            name=name,
        )

    def _norm(self, name: str) -> keras.layers.Layer:
        return norm_layer(self.config, name, self.compute_dtype)

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

    def _before(self, norm: keras.layers.Layer, x: Tensor) -> Tensor:
        """Returns the input of a sub-layer."""
        if self.config.norm_order == "pre":
            x = kernels.layer_norm(norm, widened(x, self.compute_dtype))
        return narrowed(x, self.compute_dtype)

    def _after(
        self, norm: keras.layers.Layer, x: Tensor, update: Tensor, training: bool | None
    ) -> Tensor:
        """Returns the residual sum of `x` and a sub-layer's `update`."""
        x, update = widened(x, self.compute_dtype), widened(update, self.compute_dtype)
        x = x + kernels.dropout(self.dropout, update, training)
        return kernels.layer_norm(norm, x) if self.config.norm_order == "post" else x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump()}


class TransformerStack(ExplicitMaskLayer):
    """Base class of stacks: blocks, biases of their self-attention, and the final normalisation.

    Args:
        config: a `TransformerConfig`, or the mapping it is made of.
        block: class of the blocks.
        tied_to: a stack whose layers are this one's, too, as far as both have them; None for
            layers of its own.
    """

    def __init__(
        self,
        config: TransformerConfig | dict[str, Any],
        *,
        block: type[TransformerBlock],
        tied_to: TransformerStack | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = TransformerConfig.model_validate(config)
        groups = self.config.layer_groups or self.config.num_layers
        twins: Sequence[TransformerBlock | None] = (
            [None] * groups if tied_to is None else tied_to.blocks
        )
        self.blocks: list[TransformerBlock] = [
            block(self.config, tied_to=twin, name=f"layer_{i}") for i, twin in enumerate(twins)
        ]
        shared = self.config.relative_positions
        self.relative_positions = (
            relative_positions(self.config, block.bidirectional)
            if shared and not shared.per_layer
            else None
        )
        self.norm: keras.layers.Layer | None = None
        if self.config.has_final_norm:
            self.norm = (
                norm_layer(self.config, "norm", self.compute_dtype)
                if tied_to is None
                else tied_to.norm
            )
        self.dropout = keras.layers.Dropout(self.config.output_dropout, name="dropout")
        #: Whether blocks are computed again in the backward pass, to save memory.
        self.gradient_checkpointing = False

    def _build_stack(self, tokens_shape: Any, *shapes: Any) -> None:
        """Builds all parts; the blocks read `tokens_shape` and `shapes`."""
        for block in self.blocks:
            block.build(tokens_shape, *shapes)
        if self.relative_positions is not None:
            self.relative_positions.build()
        if self.norm is not None:
            build_once(self.norm, tokens_shape)

    @property
    def depth_order(self) -> list[Any]:
        """The block of each layer, from the first one on; neighbours in a group have the same."""
        layers, groups = self.config.num_layers, len(self.blocks)
        return [self.blocks[layer * groups // layers] for layer in range(layers)]

    def _blocks_with_bias(
        self, mask: Tensor, biases: Callable[[Sequence[RelativePositions]], Iterable[Any]]
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yields each block with the mask and the bias of its self-attention.

        Args:
            mask: bool, broadcastable to `[B, H, T, S]`, or None.
            biases: of tables of relative positions, one after the other.

        Yields:
            `(block, mask or None, bias or None)`; where there is a bias it holds the mask, so that
            where the bias is shared both are put together once for all blocks.
        """
        if self.config.relative_positions is None:
            for block in self.depth_order:
                yield block, mask, None
        elif self.relative_positions is not None:
            (bias,) = biases([self.relative_positions])
            bias = masked_bias(bias, mask)
            for block in self.blocks:
                yield block, None, bias
        else:
            tables: list[Any] = [block.relative_positions for block in self.blocks]
            for block, bias in zip(self.blocks, biases(tables), strict=True):
                yield block, None, masked_bias(bias, mask)

    def _trained(
        self,
        block: TransformerBlock,
        call: Callable[..., Tensor],
        training: bool | None,
        *tensors: Tensor | None,
    ) -> Tensor:
        """Returns `call(*tensors)` of a block, which `gradient_checkpointing` computes again in the
        backward pass.

        Args:
            call: a function that uses the block's weights alone.
            tensors: all that gradients flow to.
        """
        # A symbolic call makes the graph; nothing is computed.
        symbolic = isinstance(tensors[0], keras.KerasTensor)
        if not self.gradient_checkpointing or not training or symbolic:
            return call(*tensors)

        def draws(layer: keras.layers.Layer) -> int:
            return block.sub_layers if layer is block.dropout else 1

        return recomputed(call, tensors, block, draws)

    def _ending(self, x: Tensor, training: bool | None) -> Tensor:
        """Returns the stack's output from that of its last block."""
        if self.norm is not None:
            x = kernels.layer_norm(self.norm, widened(x, self.compute_dtype))
        return kernels.dropout(self.dropout, narrowed(x, self.compute_dtype), training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump()}


def build_once(layer: keras.layers.Layer, *shapes: Any) -> None:
    """Builds a layer that may belong to two stacks, and is built by the first of them."""
    if not layer.built:
        layer.build(*shapes)


def norm_layer(config: TransformerConfig, name: str, compute_dtype: str) -> keras.layers.Layer:
    """Returns the normalisation layer that the configuration asks for.

    Args:
        compute_dtype: of the layer around it; what it reads may be wider (`half_precision`).
    """
    kind = (
        keras.layers.RMSNormalization if config.norm == "rms" else keras.layers.LayerNormalization
    )
    return kind(epsilon=config.norm_epsilon, dtype=own_dtype(compute_dtype), name=name)


def relative_positions(config: TransformerConfig, bidirectional: bool) -> RelativePositions:
    """Returns the table of biases that the configuration asks for."""
    assert config.relative_positions is not None
    return RelativePositions(
        config.relative_positions,
        num_heads=config.num_heads,
        bidirectional=bidirectional,
        name="relative_positions",
    )
