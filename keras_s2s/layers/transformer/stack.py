"""Base classes of a Transformer's blocks and stacks, for encoder and decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras

from keras_s2s.config import StackConfig, TransformerConfig
from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.transformer.checkpointing import recomputed
from keras_s2s.layers.transformer.feed_forward import FeedForward
from keras_s2s.layers.transformer.half_precision import narrowed, own_dtype, wide_dtype, widened
from keras_s2s.layers.transformer.multi_head_attention import MultiHeadAttention
from keras_s2s.layers.transformer.relative_positions import RelativePositions, masked_bias
from keras_s2s.typing import Tensor


class TransformerBlock(ExplicitMaskLayer):
    """Base class of blocks: their sub-layers, and the residual around each of them.

    Args:
        config: of `config_class`, or the mapping it is made of.
        tied_to: a block whose sub-layers and normalisations are this one's, too, as far as both
            have them; None for parts of its own.

    Attributes:
        relative_positions: the block's own biases; None where the stack has one table for all
            of its blocks, or there are none.
    """

    #: Settings that the block is made of.
    config_class: type[StackConfig] = TransformerConfig
    #: Whether self-attention sees what comes after the query, too.
    bidirectional = False
    #: The sub-layers, each with its steps around it.
    sub_layers: tuple[str, ...] = ("self_attention", "feed_forward")

    def __init__(
        self,
        config: StackConfig | dict[str, Any],
        *,
        tied_to: TransformerBlock | None = None,
        **kwargs: Any,
    ) -> None:
        # Inputs keep their dtype: a bias is float32 whatever the parts compute in.
        super().__init__(autocast=False, **kwargs)
        self.config = self.config_class.model_validate(config)
        self.dropout = keras.layers.Dropout(
            self.config.dropout, dtype=wide_dtype(self.compute_dtype), name="dropout"
        )
        own = self.config.relative_positions
        self.relative_positions = (
            relative_positions(self.config, self.bidirectional) if own and own.per_layer else None
        )
        for part in self.sub_layers:
            if tied_to is not None and part in tied_to.sub_layers:
                layer, norms = getattr(tied_to, part), tied_to.norms_of(part)
            else:
                layer, norms = self._sub_layer(part), self._norms(part)
            setattr(self, part, layer)
            for name, norm in norms.items():
                setattr(self, name, norm)

    def _sub_layer(self, part: str) -> keras.layers.Layer:
        """Makes the layer of a sub-layer."""
        return self._feed_forward(part) if part == "feed_forward" else self._attention(part)

    def _norms(self, part: str) -> dict[str, keras.layers.Layer]:
        """Makes the normalisations around a sub-layer, by their names."""
        steps = self.config.steps
        names = [
            *([f"{part}_input_norm"] if steps and "n" in steps.before else []),
            *([f"{part}_norm"] if not steps or "n" in steps.after else []),
        ]
        return {name: norm_layer(self.config, name, self.compute_dtype) for name in names}

    def norms_of(self, part: str) -> dict[str, keras.layers.Layer]:
        """Returns the normalisations around a sub-layer, by their names."""
        names = (f"{part}_input_norm", f"{part}_norm")
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def build(self, x_shape: Any, *shapes: Any) -> None:
        if self.relative_positions is not None:
            self.relative_positions.build()
        for part in self.sub_layers:
            self._build_sub_layer(part, x_shape, *shapes)
            for norm in self.norms_of(part).values():
                build_once(norm, x_shape)

    def _build_sub_layer(self, part: str, x_shape: Any, *shapes: Any) -> None:
        read = (x_shape,) if part == "feed_forward" else (x_shape, x_shape)
        build_once(getattr(self, part), *read)

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

    @property
    def dropouts(self) -> int:
        """How often a pass of the block drops what its sub-layers read or return."""
        steps = self.config.steps
        each = 1 if steps is None else (steps.before + steps.after).count("d")
        return each * len(self.sub_layers)

    def _before(self, part: str, x: Tensor, training: bool | None) -> Tensor:
        """Returns the input of a sub-layer."""
        order, steps = self.config.norm_order, self.config.steps
        if order == "pre":
            x = kernels.layer_norm(getattr(self, f"{part}_norm"), widened(x, self.compute_dtype))
        elif steps is not None:
            for step in steps.before:
                x = self._step(step, f"{part}_input_norm", x, None, training)
        return narrowed(x, self.compute_dtype)

    def _after(self, part: str, x: Tensor, update: Tensor, training: bool | None) -> Tensor:
        """Returns what follows a sub-layer that made `update` of `x`: their sum, but for `steps`
        without it.
        """
        x, update = widened(x, self.compute_dtype), widened(update, self.compute_dtype)
        name, steps = f"{part}_norm", self.config.steps
        if steps is not None:
            for step in steps.after:
                update = self._step(step, name, update, x, training)
            return update
        x = x + kernels.dropout(self.dropout, update, training)
        return kernels.layer_norm(getattr(self, name), x) if self.config.norm_order == "post" else x

    def _step(
        self, step: str, norm: str, x: Tensor, skipped: Tensor, training: bool | None
    ) -> Tensor:
        """Takes one of `StepsConfig`'s steps; `skipped` is the sub-layer's input."""
        if step == "n":
            return kernels.layer_norm(getattr(self, norm), widened(x, self.compute_dtype))
        return x + skipped if step == "a" else kernels.dropout(self.dropout, x, training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump()}


class TransformerStack(ExplicitMaskLayer):
    """Base class of stacks: blocks, biases of their self-attention, and the final normalisation.

    Args:
        config: a `StackConfig` as the blocks have it, or the mapping it is made of.
        block: class of the blocks.
        tied_to: a stack whose layers are this one's, too, as far as both have them; None for
            layers of its own.
    """

    def __init__(
        self,
        config: StackConfig | dict[str, Any],
        *,
        block: type[TransformerBlock],
        tied_to: TransformerStack | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = block.config_class.model_validate(config)
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
            return block.dropouts if layer is block.dropout else 1

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


def norm_layer(config: StackConfig, name: str, compute_dtype: str) -> keras.layers.Layer:
    """Returns the normalisation layer that the configuration asks for.

    Args:
        compute_dtype: of the layer around it; what it reads may be wider (`half_precision`).
    """
    kind = (
        keras.layers.RMSNormalization if config.norm == "rms" else keras.layers.LayerNormalization
    )
    return kind(epsilon=config.norm_epsilon, dtype=own_dtype(compute_dtype), name=name)


def relative_positions(config: StackConfig, bidirectional: bool) -> RelativePositions:
    """Returns the table of biases that the configuration asks for."""
    assert config.relative_positions is not None
    return RelativePositions(
        config.relative_positions,
        num_heads=config.num_heads,
        bidirectional=bidirectional,
        name="relative_positions",
    )
