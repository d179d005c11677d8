"""Conditional decoder: attention stands between two cells of a step [Sennrich 2017,
arXiv:1703.04357, section 2].

    s' = cell_1(s, y)          y: the last token's vector
    c  = attention(s')
    s  = cell_2(s', c)         and further cells, which transform the state
    readout = tanh(W_0 y + W_1 s + W_2 c)
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.config import ConditionalConfig
from keras_s2s.layers.contracts import Decoder
from keras_s2s.layers.masks import masked_softmax
from keras_s2s.layers.recurrent.bridge import masked_mean
from keras_s2s.layers.recurrent.normed_dense import NormedDense
from keras_s2s.layers.recurrent.scan import scan
from keras_s2s.layers.recurrent.transition_cells import TransitionCell
from keras_s2s.layers.state import Memory, State, fold_beams, unfold_beams
from keras_s2s.typing import Tensor, Tree


@keras.saving.register_keras_serializable("keras_s2s")
class ConditionalDecoder(Decoder):
    """The decoder of Nematus, and of Marian's `s2s`.

    The state begins as `tanh(W m)` of the mean m of the encoder's outputs, in every layer.

    Args:
        config: a `ConditionalConfig`, or the mapping it is made of.
    """

    def __init__(self, config: ConditionalConfig | dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = ConditionalConfig.model_validate(config)
        norm = self.config.readout_norm
        self.start = NormedDense(self.config.hidden_dim, norm=norm, name="start")
        self.layers = [
            [
                TransitionCell(
                    cell=self.config.cell,
                    units=self.config.hidden_dim,
                    reads_input=j < (2 if i == 0 else 1),
                    final=i == 0 and j > 0,
                    norm=self.config.norm,
                    bias_place="state" if j else "input",
                    name=f"layer_{i}_cell_{j}",
                )
                for j in range(self.config.cell_depth if i == 0 else self.config.upper_cell_depth)
            ]
            for i in range(self.config.num_layers)
        ]
        self.readout_dim = self.config.readout_dim
        self.readouts = [
            NormedDense(self.readout_dim, norm=norm, name=f"readout_{part}")
            for part in ("token", "state", "context")
        ]

    def build(self, tokens_shape: Any, memory_shape: Any) -> None:
        width = self.config.hidden_dim
        memory = Memory(*memory_shape)
        values_dim = memory.values[-1]
        norm = self.config.readout_norm
        self.start.build((None, values_dim))
        self.query = NormedDense(values_dim, norm=norm, use_bias=False, name="query")
        self.key = NormedDense(values_dim, norm=norm, name="key")
        self.score = keras.layers.Dense(1, use_bias=False, name="score")
        self.query.build((None, width))
        self.key.build((None, values_dim))
        self.score.build((None, values_dim))
        for i, cells in enumerate(self.layers):
            widths = [width if i else tokens_shape[-1], values_dim]
            for j, cell in enumerate(cells):
                cell.build((None, widths[j]) if cell.reads_input else None)
        for dense, size in zip(self.readouts, (tokens_shape[-1], width, values_dim), strict=True):
            dense.build((None, size))

    # ------------------------------------------------------------------ a step

    def _attend(self, hidden: Tensor, source: Any) -> tuple[Tensor, Tensor]:
        """Returns context `[B, K, Dv]` and weights `[B, K, S]` for states `[B, K, D]`."""
        # [B, K, 1, U] + [B, 1, S, U] -> [B, K, S]
        both = ops.tanh(self.query(hidden)[:, :, None] + source["keys"][:, None])
        scores = ops.squeeze(self.score(both), axis=-1)
        weights = masked_softmax(scores, source["mask"][:, None, :])
        return ops.matmul(weights, source["values"]), weights

    def _advance(self, x: Tensor, beam: Tree, source: Any) -> tuple[Tree, Tensor, Tensor]:
        """Advances every row by one position.

        Args:
            x: token vectors `[B, K, E]`: K beams of each source (1 while training).
            beam: states of the layers, `[R, D]` each.
            source: the source part of the state.

        Returns:
            `(beam, readout [B, K, readout_dim], weights [B, K, S])`.
        """
        sources = ops.shape(x)[0]
        states = [[fold_beams(leaf, sources) for leaf in layer] for layer in beam]
        context, weights, hidden = x, None, x
        new = []
        for i, (cells, state) in enumerate(zip(self.layers, states, strict=True)):
            state = cells[0](hidden, state)
            if i == 0:
                context, weights = self._attend(state[0], source)
            for cell in cells[1:]:
                state = cell(context, state)
            hidden = state[0] + hidden if self.config.skip and i else state[0]
            new.append([unfold_beams(leaf) for leaf in state])
        parts = [
            dense(part) for dense, part in zip(self.readouts, (x, hidden, context), strict=True)
        ]
        return new, ops.tanh(parts[0] + parts[1] + parts[2]), weights

    def init_state(self, memory: Memory, capacity: Tensor | None = None) -> State:
        """Returns the state before the first step, with one row for each source.

        Args:
            memory: an encoded batch.
            capacity: ignored; a recurrent state does not grow with the target.
        """
        first = ops.tanh(self.start(masked_mean(memory)))
        leaves = 2 if self.config.cell == "lstm" else 1
        source = {"mask": memory.mask, "values": memory.values, "keys": self.key(memory.values)}
        return State(source, [[first] * leaves for _ in self.layers])

    def step(
        self, x: Tensor, state: State, index: Tensor, want_attention: bool = False
    ) -> tuple[Tensor, State, Tensor | None]:
        """Takes one decoding step.

        Args:
            x: token vectors `[R, 1, E]`.
            state: the state so far.
            index: number of the step; not needed here.
            want_attention: also return the attention to the source.

        Returns:
            `(hidden [R, 1, readout_dim], state, attention [R, S] or None)`.
        """
        sources = ops.shape(state.source["mask"])[0]
        folded = fold_beams(x[:, 0], sources)
        beam, readout, weights = self._advance(folded, state.beam, state.source)
        attention = unfold_beams(weights) if want_attention else None
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
        shape = (ops.shape(tokens)[0], self.readout_dim)

        def body(carry: Tree, x: Tensor) -> Tree:
            beam, readout, weights = self._advance(x[:, None], carry["beam"], source)
            return {"beam": beam, "readout": readout[:, 0], "weights": weights[:, 0]}

        carry = {
            "beam": beam,
            "readout": ops.zeros(shape, dtype=tokens.dtype),
            "weights": ops.cast(ops.zeros_like(source["mask"]), tokens.dtype),
        }
        steps = scan(body, carry, ops.swapaxes(tokens, 0, 1))
        hidden = ops.swapaxes(steps["readout"], 0, 1)  # [T, B, D] -> [B, T, D]
        return (hidden, ops.swapaxes(steps["weights"], 0, 1)) if return_attention else hidden

    def compute_output_spec(
        self,
        tokens: Tensor,
        memory: Memory,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> keras.KerasTensor:
        return keras.KerasTensor((*tokens.shape[:-1], self.readout_dim), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": self.config.model_dump()}
