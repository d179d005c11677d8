"""A Transformer decoder whose blocks have an SSRU in the place of self-attention [Kim 2019]."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.config import SSRUConfig
from keras_s2s.layers.contracts import Decoder
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.state import Memory, State, fold_beams, unfold_beams
from keras_s2s.layers.transformer import cache
from keras_s2s.layers.transformer.decoder import TransformerDecoderBlock
from keras_s2s.layers.transformer.ssru import SSRU
from keras_s2s.layers.transformer.stack import TransformerStack
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class SSRUDecoderBlock(TransformerDecoderBlock):
    """A block of an SSRU, cross-attention and feed-forward, each with a residual."""

    config_class = SSRUConfig
    sub_layers = ("ssru", "cross_attention", "feed_forward")

    def _sub_layer(self, part: str) -> keras.layers.Layer:
        if part != "ssru":
            return super()._sub_layer(part)
        assert isinstance(self.config, SSRUConfig)
        return SSRU(
            hidden_dim=self.config.hidden_dim, projection=self.config.ssru_projection, name=part
        )

    def _build_sub_layer(self, part: str, x_shape: Any, *shapes: Any) -> None:
        if part == "ssru":
            self.ssru.build(x_shape)
        else:
            super()._build_sub_layer(part, x_shape, *shapes)

    def call(  # type: ignore[override]  # an SSRU has no mask
        self,
        x: Tensor,
        memory: Tensor,
        memory_mask: Tensor | None = None,
        training: bool | None = None,
        return_attention: bool = False,
    ) -> Tensor:
        """Computes all target positions at once.

        Args:
            x: float tensor `[B, T, hidden_dim]`.
            memory: encoder outputs `[B, S, Dm]`.
            memory_mask: bool `[B, S]`.
            return_attention: also return the cross-attention weights `[B, H, T, S]`.

        Returns:
            float tensor `[B, T, hidden_dim]`, or a pair of it and the weights.
        """
        keys, values = self.cross_attention.project_memory(memory)
        source = {"keys": keys, "values": values}
        seen = (None if memory_mask is None else memory_mask[:, None, None, :]), None
        x, _, weights = self._block(
            x, lambda y, _: (self.ssru(y), None), source, seen, training, return_attention
        )
        return (x, weights) if return_attention else x

    def step(  # type: ignore[override]
        self,
        x: Tensor,
        source: Any,
        cell: Tensor,
        memory_seen: tuple[Any, Any],
        want_attention: bool = False,
    ) -> Tensor:
        """Computes one target position of every row.

        Args:
            x: float tensor `[B, K, hidden_dim]`: the beams of a source stand side by side.
            source: cross-attention `keys` and `values`, `[B, H, S, D]` each.
            cell: of the SSRU, `[R, hidden_dim]`.
            memory_seen: mask and bias of cross-attention (`kernels.as_bias`), each None or
                broadcastable to `[B, H, K, S]`.
            want_attention: return the cross-attention weights.

        Returns:
            `(x [B, K, hidden_dim], cell, cross-attention weights [B, H, K, S] or None)`.
        """
        sources = ops.shape(x)[0]

        def advance(y: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
            output, new = self.ssru.step(y, fold_beams(cell, sources))
            return output, unfold_beams(new)

        return self._block(x, advance, source, memory_seen, False, want_attention)


@keras.saving.register_keras_serializable("keras_s2s")
class SSRUDecoder(TransformerStack, Decoder):
    """A decoder of blocks with an SSRU each; its state does not grow with the target.

    Args:
        config: an `SSRUConfig`, or the mapping it is made of.

    Example:
        >>> decoder = SSRUDecoder(
        ...     {"type": "ssru", "hidden_dim": 8, "num_heads": 2, "intermediate_dim": 16,
        ...      "num_layers": 2})
    """

    def __init__(self, config: SSRUConfig | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(config, block=SSRUDecoderBlock, **kwargs)

    def build(self, tokens_shape: Any, memory_shape: Any) -> None:
        self._build_stack(tokens_shape, memory_shape[0])

    def call(
        self,
        tokens: Tensor,
        memory: Memory,
        mask: Tensor | None = None,
        training: bool | None = None,
        return_attention: bool = False,
    ) -> Tensor:
        """As in `Decoder`; `mask` has no effect, since padding at the end of a target reaches no
        earlier position of a recurrence. The attention is the mean over the heads of the top layer.
        """
        memory = Memory(*memory)
        x, weights = tokens, None
        for block in self.depth_order:

            def call(x: Tensor, values: Tensor, block: Any = block) -> Tensor:
                return block(
                    x,
                    values,
                    memory_mask=memory.mask,
                    training=training,
                    return_attention=return_attention,
                )

            if return_attention:
                x, weights = call(x, memory.values)
            else:
                x = self._trained(block, call, training, x, memory.values)
        x = self._ending(x, training)
        return (x, ops.mean(weights, axis=1)) if return_attention else x

    def init_state(self, memory: Memory, capacity: Tensor | None = None) -> State:
        """Returns the state before the first step, with one row for each source.

        Args:
            memory: an encoded batch.
            capacity: ignored; a recurrent state does not grow with the target.
        """
        layers, cells = [], []
        shape = (ops.shape(memory.values)[0], self.config.hidden_dim)
        for block in self.depth_order:
            keys, values = block.cross_attention.project_memory(memory.values)
            layers.append({"keys": cache.settled(keys), "values": cache.settled(values)})
            cells.append(ops.zeros(shape, dtype=memory.values.dtype))
        return State({"mask": memory.mask, "layers": layers}, {"cells": cells})

    def step(
        self, x: Tensor, state: State, index: Tensor, want_attention: bool = False
    ) -> tuple[Tensor, State, Tensor | None]:
        """Takes one decoding step.

        Args:
            x: token vectors `[R, 1, hidden_dim]`.
            state: the state so far.
            index: number of the step; not needed here.
            want_attention: also return the attention to the source.

        Returns:
            `(hidden [R, 1, hidden_dim], state, attention [R, S] or None)`.
        """
        mask = state.source["mask"]
        memory_seen = kernels.as_bias(mask[:, None, None, :])
        x, cells, weights = fold_beams(x[:, 0], ops.shape(mask)[0]), [], None
        for block, source, cell in zip(
            self.depth_order, state.source["layers"], state.beam["cells"], strict=True
        ):
            x, cell, weights = block.step(x, source, cell, memory_seen, want_attention)
            cells.append(cell)
        x = self._ending(x, training=False)
        # [B, H, K, S] -> mean over heads [B, K, S] -> [R, S]
        attention = unfold_beams(ops.mean(weights, axis=1)) if want_attention else None
        return unfold_beams(x)[:, None], State(state.source, {"cells": cells}), attention

    def compute_output_spec(
        self,
        tokens: Tensor,
        memory: Memory,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> keras.KerasTensor:
        return keras.KerasTensor(tokens.shape, dtype=self.compute_dtype)
