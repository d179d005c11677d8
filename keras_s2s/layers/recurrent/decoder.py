"""Recurrent decoder: a stack of GRU, LSTM or simple RNN cells over the target."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.config import BridgeConfig, RecurrentDecoderConfig
from keras_s2s.layers.contracts import Decoder
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.recurrent.attention import make_attention
from keras_s2s.layers.recurrent.bridge import Bridge, context_vector
from keras_s2s.layers.recurrent.cells import STATES, recurrent_layer
from keras_s2s.layers.recurrent.scan import scan
from keras_s2s.layers.state import Memory, State, fold_beams, unfold_beams
from keras_s2s.typing import Tensor, Tree


@keras.saving.register_keras_serializable("keras_s2s")
class RecurrentDecoder(Decoder):
    """A recurrent decoder with or without attention.

    In one step the input vector (concatenated with the context vector, or the last attentional
    vector, where the configuration asks for it) goes through the stack of cells; attention, if any,
    reads the source before [Bahdanau 2015] or after it [Luong 2015]; a tanh readout
    (or none, as the configuration says) combines the inputs of the output projection.

    Where no step depends on what another step read from the source, training runs each layer
    over the whole target at once; otherwise it scans step by step. Decoding always takes single
    steps. All three use the same cells, attention and readout.

    Args:
        config: a `RecurrentDecoderConfig`, or the mapping it is made of.
        bridge: a `BridgeConfig`, or the mapping it is made of.
    """

    def __init__(
        self,
        config: RecurrentDecoderConfig | dict[str, Any],
        *,
        bridge: BridgeConfig | dict[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = RecurrentDecoderConfig.model_validate(config)
        hidden_dim = self.config.hidden_dim
        state_sizes = [[hidden_dim] * STATES[self.config.cell]] * self.config.num_layers
        self.bridge = Bridge(bridge, state_sizes=state_sizes, name="bridge")
        self.rnns = [
            recurrent_layer(self.config, name=f"layer_{i}") for i in range(self.config.num_layers)
        ]
        self.attention = (
            make_attention(self.config.attention, hidden_dim) if self.config.attention else None
        )
        self.readout = (
            keras.layers.Dense(hidden_dim, activation="tanh", name="readout")
            if self.config.readout_kind == "dense"
            else None
        )
        self.readout_dim = hidden_dim  # until the widths of context and embedding are known
        self.dropout = keras.layers.Dropout(self.config.dropout, name="dropout")

    # The three ways in which the source can enter a step's input.

    @property
    def _attends_first(self) -> bool:
        return self.config.attention is not None and self.config.attention.query == "previous"

    @property
    def _feeds_input(self) -> bool:
        return self.config.attention is not None and self.config.attention.input_feeding

    @property
    def _fixed_context(self) -> bool:
        return self.config.context == "every_step"

    def build(self, tokens_shape: Any, memory_shape: Any) -> None:
        hidden_dim, embedding_dim = self.config.hidden_dim, tokens_shape[-1]
        memory = Memory(*memory_shape)
        values_dim = memory.values[-1]
        self.bridge.build_for(memory.values, memory.final_state)
        context_dim = memory.final_state[-1][0][-1] if memory.final_state else values_dim

        input_dim = embedding_dim
        if self._attends_first:
            input_dim += values_dim
        elif self._feeds_input:
            input_dim += hidden_dim
        elif self._fixed_context:
            input_dim += context_dim
        for layer in self.rnns:
            layer.build((None, None, input_dim))
            input_dim = hidden_dim
        if self.attention is not None:
            self.attention.build((None, None, hidden_dim), memory.values)
        width = hidden_dim + (context_dim if self.attention is None else values_dim)
        if self._attends_first or self._fixed_context:
            width += embedding_dim
        if self.readout is not None:
            self.readout.build((None, None, width))
        elif self.config.readout_kind == "concat":
            self.readout_dim = width

    # ------------------------------------------------------------------ pieces of a step

    def _with_context(self, x: Tensor, source: dict[str, Any]) -> Tensor:
        """Concatenates the fixed context vector to every position: `[B, T, E]` -> `[B, T, E +
        D]`.
        """
        if not self._fixed_context:
            return x
        context = source["context"][:, None]
        shape = (ops.shape(x)[0], ops.shape(x)[1], context.shape[-1])
        return ops.concatenate([x, ops.broadcast_to(context, shape)], axis=-1)

    def _attend(self, query: Tensor, source: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Attends with `[B, T, D]` queries; returns `(context [B, T, Dv], weights [B, T, S])`."""
        return self.attention(  # type: ignore[misc]
            query, source["values"], keys=source["keys"], mask=source["mask"]
        )

    def _read_out(self, hidden: Tensor, context: Any, x: Tensor, source: dict[str, Any]) -> Tensor:
        """Returns the input of the output projection, `[B, T, readout_dim]`.

        `tanh(W [h; c])` after Luong's attention; the input's embedding joins where the
        decoder's own equations have it (Bahdanau's and Cho's deep output).
        """
        if self.config.readout_kind == "hidden":
            return hidden
        if self._fixed_context:
            parts = [hidden, self._with_context(x, source)]
        else:
            parts = [hidden, context, x] if self._attends_first else [hidden, context]
        vectors = ops.concatenate(parts, axis=-1)
        return vectors if self.readout is None else self.readout(vectors)

    def _advance(
        self, x: Tensor, beam: dict[str, Any], source: dict[str, Any], dropout: list[Any] | None
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Advances every row by one target position.

        Args:
            x: token vectors `[B, K, E]`: K beams of each source (1 while training).
            beam: the rows' state.
            source: the source part of the state.
            dropout: a mask `[R, hidden_dim]` for the outputs of each layer but the top one.

        Returns:
            `(beam, readout [B, K, readout_dim], weights [B, K, S] or None)`.
        """
        sources = ops.shape(x)[0]
        context = weights = None
        inputs = self._with_context(x, source)
        if self._attends_first:
            query = fold_beams(beam["states"][-1][0], sources)
            context, weights = self._attend(query, source)
            inputs = ops.concatenate([x, context], axis=-1)
        elif self._feeds_input:
            inputs = ops.concatenate([x, fold_beams(beam["feed"], sources)], axis=-1)
        hidden = unfold_beams(inputs)
        states = []
        for i, layer in enumerate(self.rnns):
            if i and dropout is not None:
                hidden = hidden * dropout[i - 1]
            hidden, new = layer.cell(hidden, beam["states"][i])
            states.append(list(new) if isinstance(new, list | tuple) else [new])
        hidden = fold_beams(hidden, sources)
        if self.attention is not None and not self._attends_first:
            context, weights = self._attend(hidden, source)
        readout = self._read_out(hidden, context, x, source)
        new_beam = {"states": states}
        if self._feeds_input:
            new_beam["feed"] = unfold_beams(readout)
        return new_beam, readout, weights

    # ------------------------------------------------------------------ state and steps

    def init_state(self, memory: Memory, capacity: Tensor | None = None) -> State:
        """Returns the state before the first step, with one row for each source.

        Args:
            memory: an encoded batch.
            capacity: ignored; a recurrent state does not grow with the target.
        """
        source: dict[str, Any] = {"mask": memory.mask}
        if self.attention is not None:
            source["values"] = memory.values
            source["keys"] = self.attention.project_keys(memory.values)
        if self._fixed_context:
            source["context"] = context_vector(memory)
        states = self.bridge(memory)
        beam: dict[str, Any] = {"states": states}
        if self._feeds_input:
            beam["feed"] = ops.zeros_like(states[-1][0])
        return State(source, beam)

    def step(
        self, x: Tensor, state: State, index: Tensor, want_attention: bool = False
    ) -> tuple[Tensor, State, Tensor]:
        """Takes one decoding step.

        Args:
            x: token vectors `[R, 1, E]`.
            state: the state so far.
            index: number of the step; not needed here.

        Returns:
            `(hidden [R, 1, readout_dim], state, attention [R, S] or None)`.
        """
        sources = ops.shape(state.source["mask"])[0]
        folded = fold_beams(x[:, 0], sources)
        beam, readout, weights = self._advance(folded, state.beam, state.source, None)
        attention = unfold_beams(weights) if want_attention and weights is not None else None
        return unfold_beams(readout)[:, None], State(state.source, beam), attention

    def call(
        self,
        tokens: Tensor,
        memory: Memory,
        mask: Tensor | None = None,
        training: bool | None = None,
        return_attention: bool = False,
    ) -> Tensor:
        """As in `Decoder`; `mask` has no effect, since padding at the end of a target reaches no
        earlier position of a recurrence.
        """
        memory = Memory(*memory)
        source, beam = self.init_state(memory)
        if self._attends_first or self._feeds_input:
            hidden, weights = self._scan(tokens, source, beam, training, return_attention)
        else:
            hidden, weights = self._all_at_once(tokens, source, beam, training)
        hidden = kernels.dropout(self.dropout, hidden, training)
        return (hidden, weights) if return_attention else hidden

    def _all_at_once(
        self, tokens: Tensor, source: Any, beam: Tree, training: bool | None
    ) -> tuple[Tensor, Tensor]:
        hidden = self._with_context(tokens, source)
        for i, layer in enumerate(self.rnns):
            if i:
                hidden = kernels.dropout(self.dropout, hidden, training)
            hidden = layer(hidden, initial_state=beam["states"][i], training=training)[0]
        context = weights = None
        if self.attention is not None:
            context, weights = self._attend(hidden, source)
        return self._read_out(hidden, context, tokens, source), weights

    def _scan(
        self, tokens: Tensor, source: Any, beam: Tree, training: bool | None, return_attention: bool
    ) -> Tensor:
        masks = self._dropout_masks(tokens, training)
        xs = {"tokens": ops.swapaxes(tokens, 0, 1), "dropout": masks}  # time first
        batch = ops.shape(tokens)[0]

        # What a step puts out is carried as well, though no other step reads it: the scan
        # stacks what it carries.
        def body(carry: Tree, x: Tensor) -> Tensor:
            beam, readout, weights = self._advance(
                x["tokens"][:, None], carry["beam"], source, x["dropout"]
            )
            carry = {"beam": beam, "readout": readout[:, 0]}
            if return_attention:
                carry["weights"] = weights[:, 0]
            return carry

        carry = {
            "beam": beam,
            "readout": ops.zeros((batch, self.readout_dim), dtype=tokens.dtype),
        }
        if return_attention:
            carry["weights"] = ops.cast(ops.zeros_like(source["mask"]), tokens.dtype)
        steps = scan(body, carry, xs)
        # [T, B, D] -> [B, T, D]
        weights = ops.swapaxes(steps["weights"], 0, 1) if return_attention else None
        return ops.swapaxes(steps["readout"], 0, 1), weights

    def _dropout_masks(self, tokens: Tensor, training: bool | None) -> list[Tensor]:
        """Draws dropout masks `[T, B, D]` between the layers, before the loop.

        Seeds cannot be updated inside a compiled loop.
        """
        shape = (ops.shape(tokens)[1], ops.shape(tokens)[0], self.config.hidden_dim)
        return [
            kernels.dropout(self.dropout, ops.ones(shape, dtype=tokens.dtype), training)
            for _ in self.rnns[1:]
        ]

    def compute_output_spec(
        self,
        tokens: Tensor,
        memory: Memory,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> keras.KerasTensor:
        return keras.KerasTensor((*tokens.shape[:-1], self.readout_dim), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "config": self.config.model_dump(),
            "bridge": self.bridge.config.model_dump(),
        }
