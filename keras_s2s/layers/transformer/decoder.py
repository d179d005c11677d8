"""Transformer decoder: blocks of causal self-attention and attention to the source [Vaswani 2017,
3.1].
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.config import TransformerConfig
from keras_s2s.layers.contracts import Decoder
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.masks import causal_mask
from keras_s2s.layers.state import Memory, State, fold_beams, gather_beams, unfold_beams
from keras_s2s.layers.transformer import cache
from keras_s2s.layers.transformer.relative_positions import span_biases, square_biases
from keras_s2s.layers.transformer.stack import TransformerBlock, TransformerStack
from keras_s2s.typing import Tensor, Tree


@keras.saving.register_keras_serializable("keras_s2s")
class TransformerDecoderBlock(TransformerBlock):
    """A block of causal self-attention, cross-attention and feed-forward, each with a residual."""

    sub_layers = ("self_attention", "cross_attention", "feed_forward")

    def build(self, x_shape: Any, memory_shape: Any) -> None:
        super().build(x_shape, memory_shape)

    @property
    def _residual_keys(self) -> bool:
        return isinstance(self.config, TransformerConfig) and self.config.residual_keys

    def _build_sub_layer(self, part: str, x_shape: Any, *shapes: Any) -> None:
        if part != "cross_attention":
            super()._build_sub_layer(part, x_shape)
            return
        (memory_shape,) = shapes
        self.cross_attention.build(x_shape, memory_shape)

    def call(
        self,
        x: Tensor,
        memory: Tensor,
        self_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        training: bool | None = None,
        return_attention: bool = False,
        self_bias: Tensor | None = None,
    ) -> Tensor:
        """Computes all target positions at once.

        Args:
            x: float tensor `[B, T, hidden_dim]`.
            memory: encoder outputs `[B, S, Dm]`.
            self_mask: bool, broadcastable to `[B, H, T, T]`.
            memory_mask: bool `[B, S]`.
            return_attention: also return the cross-attention weights `[B, H, T, S]`.
            self_bias: float32, broadcastable to `[B, H, T, T]`, added to the scores of
                self-attention; or None.

        Returns:
            float tensor `[B, T, hidden_dim]`, or a pair of it and the weights.
        """

        def attend_self(y: Tensor, x: Tensor) -> tuple[Tensor, None]:
            read = x if self._residual_keys else y
            output = self.self_attention(y, read, mask=self_mask, training=training, bias=self_bias)
            if self._residual_keys:
                first = self.self_attention.alone(y[:, :1])
                output = ops.concatenate([first, output[:, 1:]], axis=1)
            return output, None

        keys, values = self.cross_attention.project_memory(memory)
        source = {"keys": keys, "values": values}
        seen = (None if memory_mask is None else memory_mask[:, None, None, :]), None
        x, _, weights = self._block(x, attend_self, source, seen, training, return_attention)
        return (x, weights) if return_attention else x

    def step(
        self,
        x: Tensor,
        source: Any,
        caches: Tree,
        self_mask: Tensor,
        memory_seen: tuple[Any, Any],
        index: Tensor,
        want_attention: bool = False,
        self_bias: Tensor | None = None,
    ) -> Tensor:
        """Computes one target position of every row, or several of each source's one row.

        Args:
            x: float tensor `[B, K, hidden_dim]`: the beams of a source stand side by side, or the K
                positions of its row.
            source: cross-attention `keys` and `values`, `[B, H, S, D]` each.
            caches: self-attention `keys` and `values`, `[R, H, C, D]` each.
            self_mask: which of the caches' slots each row sees, `[B, 1, K, N]`; or None.
            memory_seen: mask and bias of cross-attention (`kernels.as_bias`), each None or
                broadcastable to `[B, H, K, S]`.
            index: position of this step, a scalar; or the `cache.Spans` of several.
            want_attention: return the cross-attention weights.
            self_bias: float32, broadcastable to `[B, H, K, N]`, added to the scores of
                self-attention; or None.

        Returns:
            `(x [B, K, hidden_dim], caches, cross-attention weights [B, H, K, S] or None)`.
        """

        sources = kernels.shape(x)[0]

        def attend_self(y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            if self._residual_keys:
                query = self.self_attention.project_query(y)
                key, value = self.self_attention.project_memory(x)
            else:
                query, key, value = self.self_attention.project_own(y)
            keys = cache.write(caches["keys"], key, index)
            values = cache.write(caches["values"], value, index)
            output, _ = self.self_attention.attend(
                query,
                cache.slots(keys, sources, index),
                cache.slots(values, sources, index),
                self_mask,
                training=False,
                return_weights=False,
                bias=self_bias,
            )
            if self._residual_keys:
                output = ops.where(cache.is_first(index), self.self_attention.alone(y), output)
            return output, {"keys": keys, "values": values}

        return self._block(x, attend_self, source, memory_seen, False, want_attention)

    def _block(
        self,
        x: Tensor,
        attend_self: Any,
        source: Any,
        memory_seen: tuple[Any, Any],
        training: bool | None,
        return_weights: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Computes the block around any form of its first sub-layer, for training and decoding."""
        first = self.sub_layers[0]
        y, caches = attend_self(self._before(first, x, training), x)
        x = self._after(first, x, y, training)

        y = self._before("cross_attention", x, training)
        y, weights = self.cross_attention.attend(
            self.cross_attention.project_query(y),
            source["keys"],
            source["values"],
            memory_seen[0],
            training=training,
            return_weights=return_weights,
            bias=memory_seen[1],
        )
        x = self._after("cross_attention", x, y, training)

        y = self._before("feed_forward", x, training)
        y = kernels.call(self.feed_forward, y, training=training)
        return self._after("feed_forward", x, y, training), caches, weights


@keras.saving.register_keras_serializable("keras_s2s")
class TransformerDecoder(TransformerStack, Decoder):
    """A Transformer decoder: a stack of blocks with caches for decoding.

    Args:
        config: a `TransformerConfig`, or the mapping it is made of.
        tied_to: an encoder whose weights are the decoder's, too, but for its cross-attention
            [Rothe 2020]; None for weights of its own.
    """

    def __init__(
        self,
        config: TransformerConfig | dict[str, Any],
        *,
        tied_to: TransformerStack | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(config, block=TransformerDecoderBlock, tied_to=tied_to, **kwargs)

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
        """As in `Decoder`; the attention is the mean over the heads of the top layer."""
        memory = Memory(*memory)
        length = ops.shape(tokens)[1]
        self_mask = causal_mask(length)
        if mask is not None:
            self_mask = ops.logical_and(self_mask, mask[:, None, None, :])
        x, weights = tokens, None
        for block, attended, bias in self._blocks_with_bias(
            self_mask, lambda tables: square_biases(tables, length)
        ):

            def call(
                x: Tensor,
                values: Tensor,
                bias: Tensor | None,
                block: Any = block,
                self_mask: Tensor | None = attended,
            ) -> Tensor:
                return block(
                    x,
                    values,
                    self_mask=self_mask,
                    memory_mask=memory.mask,
                    training=training,
                    return_attention=return_attention,
                    self_bias=bias,
                )

            if return_attention:
                x, weights = call(x, memory.values, bias)
            else:
                x = self._trained(block, call, training, x, memory.values, bias)
        x = self._ending(x, training)
        return (x, ops.mean(weights, axis=1)) if return_attention else x

    def init_state(self, memory: Memory, capacity: Tensor | None = None) -> State:
        """Returns the state before the first step, with one row for each source.

        Args:
            memory: an encoded batch.
            capacity: how many steps the caches hold.
        """
        layers = []
        for block in self.depth_order:
            keys, values = block.cross_attention.project_memory(memory.values)
            layers.append({"keys": cache.settled(keys), "values": cache.settled(values)})
        sources = ops.shape(memory.values)[0]
        heads, head_dim = self.config.num_heads, self.blocks[0].self_attention.head_dim
        beam = {
            "layers": [
                {
                    name: cache.empty(sources, heads, capacity, head_dim, memory.values.dtype)
                    for name in ("keys", "values")
                }
                for _ in self.depth_order
            ]
        }
        return State({"mask": memory.mask, "layers": layers}, beam)

    def spread(self, state: State, num_beams: int) -> State:
        """Gives each source, which has one row, `num_beams` equal rows."""
        layers = keras.tree.map_structure(
            lambda leaf: cache.spread(leaf, num_beams), state.beam["layers"]
        )
        sources, _, capacity, _ = ops.shape(state.beam["layers"][0]["keys"])
        ancestors = cache.all_own(sources, num_beams, capacity)
        return State(state.source, {"layers": layers, "ancestors": ancestors})

    def reorder(self, state: State, parents: Tensor) -> State:
        """Makes row r continue the history of row `parents[r]`, one of the same source.

        The caches stay; the ancestors move. Where the number of rows changes, caches are made
        anew.
        """
        layers, ancestors = state.beam["layers"], state.beam.get("ancestors")
        rows, _, capacity, _ = ops.shape(layers[0]["keys"])
        parents = ops.convert_to_tensor(parents, dtype="int32")
        count = ops.shape(parents)[0]
        # In a graph of unknown sizes the numbers are tensors: beam search keeps its rows.
        if isinstance(count, int) and isinstance(rows, int) and count != rows:
            sources = ops.shape(state.source["mask"])[0]

            def moved(leaf: Tensor) -> Tensor:
                found = ops.take(cache.histories(leaf, ancestors, sources), parents, axis=0)
                return cache.of_histories(found, sources)

            layers = keras.tree.map_structure(moved, layers)
            ancestors = cache.all_own(sources, count // sources, capacity)
        elif ancestors is None:
            return state
        else:
            ancestors = ops.take(ancestors, parents, axis=0)
        return State(state.source, {"layers": layers, "ancestors": ancestors})

    def select_rows(self, state: State, rows: Tensor) -> State:
        """Keeps the sources `rows [B']`, with all their beams, in the order given."""
        rows = ops.convert_to_tensor(rows, dtype="int32")
        sources = ops.shape(state.source["mask"])[0]
        beam = keras.tree.map_structure(lambda leaf: cache.select(leaf, sources, rows), state.beam)
        return State(gather_beams(state.source, rows), beam)

    def grow(self, state: State, capacity: Tensor) -> State:
        """Extends the caches to `capacity` steps."""
        sources = ops.shape(state.source["mask"])[0]
        beam = dict(state.beam)
        beam["layers"] = keras.tree.map_structure(
            lambda leaf: cache.grow(leaf, capacity, sources), beam["layers"]
        )
        if "ancestors" in beam:
            beam["ancestors"] = cache.grow_ancestors(beam["ancestors"], capacity)
        return State(state.source, beam)

    def step(
        self, x: Tensor, state: State, index: Tensor, want_attention: bool = False
    ) -> tuple[Tensor, State, Tensor]:
        """Takes one decoding step.

        Args:
            x: token vectors `[R, 1, hidden_dim]`.
            state: the state so far.
            index: the step's number, a scalar; 0 for the decoder start.

        Returns:
            `(hidden [R, 1, hidden_dim], state, attention [R, S] or None)`.
        """
        mask, beam = state.source["mask"], dict(state.beam)
        sources = kernels.shape(mask)[0]
        if "ancestors" in beam:
            beam["ancestors"] = cache.own_slots(beam["ancestors"], sources, index)
        capacity = kernels.shape(beam["layers"][0]["keys"])[2]
        self_mask = cache.visible(beam.get("ancestors"), capacity, sources, index)
        x = fold_beams(x[:, 0], sources)

        def biases(tables: Any) -> Tensor:
            beams = ops.shape(x)[1] if "ancestors" in beam else 1
            places = cache.places_read(capacity, index)
            return kernels.relative_biases(tables, index, places, beams)

        x, state, weights = self._through(
            x, State(state.source, beam), index, self_mask, biases, want_attention
        )
        # [B, H, K, S] -> mean over heads [B, K, S] -> [R, S]
        attention = unfold_beams(ops.mean(weights, axis=1)) if want_attention else None
        return unfold_beams(x)[:, None], state, attention

    def step_several(self, x: Tensor, state: State, starts: Tensor) -> tuple[Tensor, State]:
        """As in `Decoder`; positions that are taken again replace what was there."""
        count = ops.shape(x)[1]
        capacity = ops.shape(state.beam["layers"][0]["keys"])[2]
        spans = cache.Spans.of(starts, count, capacity)

        def biases(tables: Any) -> Any:
            return span_biases(tables, spans.places, spans.reach)

        x, state, _ = self._through(x, state, spans, cache.visible_in(spans), biases, False)
        return x, state

    def _through(
        self,
        x: Tensor,
        state: State,
        index: Any,
        self_mask: Tensor | None,
        biases: Any,
        want_attention: bool,
    ) -> tuple[Tensor, State, Tensor | None]:
        """Takes `x [B, K, hidden_dim]` through all blocks, see `TransformerDecoderBlock.step`;
        `biases` as in `_blocks_with_bias`.
        """
        layers = []
        weights = None
        memory_seen = kernels.as_bias(state.source["mask"][:, None, None, :])
        blocks = self._blocks_with_bias(self_mask, biases)
        for (block, attended, bias), source, caches in zip(
            blocks, state.source["layers"], state.beam["layers"], strict=True
        ):
            x, caches, weights = block.step(
                x, source, caches, attended, memory_seen, index, want_attention, bias
            )
            layers.append(caches)
        x = self._ending(x, training=False)
        return x, State(state.source, {**state.beam, "layers": layers}), weights

    def compute_output_spec(
        self,
        tokens: Tensor,
        memory: Memory,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> keras.KerasTensor:
        return keras.KerasTensor(tokens.shape, dtype=self.compute_dtype)
