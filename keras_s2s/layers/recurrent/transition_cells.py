"""Gated cells that follow one another within a step: deep transitions [Barone 2017,
arXiv:1707.07631].

Only the first of them reads an input; the others transform the state. GRUs put the reset gate, then
the update gate side by side, and the state is `(1 - z) * candidate + z * state`; LSTMs have the
gates f, i, c, o.
"""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from keras_s2s.layers.base import ExplicitMaskLayer
from keras_s2s.layers.recurrent.normed_dense import normalised
from keras_s2s.typing import Tensor

#: A hidden vector, and the cell of an LSTM.
CellState = list[Tensor]
#: Where Nematus' normalised cells add their biases.
BiasPlace = Literal["input", "state", "end"]


@keras.saving.register_keras_serializable("keras_s2s")
class TransitionCell(ExplicitMaskLayer):
    """A GRU or LSTM cell, with an input or without.

    Args:
        cell: gru or lstm.
        units: width D of the state.
        reads_input: False for a cell that transforms the state alone.
        final: the candidate's bias of a GRU is multiplied by the reset gate, too.
        norm: none; scale: `LN(x W)` and `LN(h U)` over all gates, with a scale alone; nematus:
            of gates and candidate apart, with scale and offset.
        bias_place: with norm: nematus, what the biases are added to: the input's or state's part
            before its normalisation, or what is normalised.
    """

    def __init__(
        self,
        *,
        cell: str,
        units: int,
        reads_input: bool = True,
        final: bool = False,
        norm: str = "none",
        bias_place: BiasPlace = "input",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cell = cell
        self.units = units
        self.reads_input = reads_input
        self.final = final
        self.norm = norm
        self.bias_place = bias_place
        # The parts of each product: a GRU's gates and its candidate.
        self._widths = {"gates": 2 * units, "candidate": units}
        if cell == "lstm":
            self._widths = {"gates": 4 * units}

    def build(self, input_shape: Any = None) -> None:
        read = {"input": input_shape[-1]} if self.reads_input else {}
        for side, rows in {**read, "state": self.units}.items():
            for part, width in self._widths.items():
                initializer = "orthogonal" if side == "state" else "glorot_uniform"
                self._add(f"{side}_{part}", (rows, width), initializer)
                if self.norm == "nematus":
                    self._add(f"{side}_{part}_gamma", (width,), "ones")
                    self._add(f"{side}_{part}_beta", (width,), "zeros")
            if self.norm == "scale":
                self._add(f"{side}_gamma", (sum(self._widths.values()),), "ones")
        for part, width in self._widths.items():
            self._add(f"bias_{part}", (width,), "zeros")

    def _add(self, name: str, shape: tuple[int, ...], initializer: str) -> None:
        setattr(self, name, self.add_weight(name=name, shape=shape, initializer=initializer))

    def _weight(self, name: str) -> Tensor:
        return ops.cast(getattr(self, name), self.compute_dtype)

    def project(self, x: Tensor) -> Tensor:
        """Computes the input's part of all gates: `[..., E]` -> `[..., G]`."""
        return self._product("input", x, with_bias=self.bias_place == "input")

    def _product(self, side: str, x: Tensor, *, with_bias: bool) -> Tensor:
        parts = []
        for part in self._widths:
            y = ops.matmul(x, self._weight(f"{side}_{part}"))
            if self.norm == "nematus":
                if with_bias:
                    y = y + self._weight(f"bias_{part}")
                y = normalised(
                    y,
                    self._weight(f"{side}_{part}_gamma"),
                    self._weight(f"{side}_{part}_beta"),
                    self.norm,
                )
            parts.append(y)
        y = ops.concatenate(parts, axis=-1)
        if self.norm == "scale":
            y = normalised(y, self._weight(f"{side}_gamma"), None, self.norm)
        return y

    def advance(self, projected: Tensor | None, state: CellState) -> CellState:
        """Takes a step.

        Args:
            projected: what `project` returned, `[..., G]`; None for a cell without an input.
            state: `[..., D]` each.
        """
        hidden = state[0]
        from_state = self._product("state", hidden, with_bias=self.bias_place == "state")
        if projected is None:
            projected = ops.zeros_like(from_state)
        bias = ops.concatenate([self._weight(f"bias_{part}") for part in self._widths], axis=-1)
        if self.norm == "nematus" and self.bias_place != "end":
            bias = ops.zeros_like(bias)
        if self.cell == "lstm":
            forget, enter, candidate, leave = ops.split(projected + from_state + bias, 4, axis=-1)
            cell = ops.sigmoid(forget) * state[1] + ops.sigmoid(enter) * ops.tanh(candidate)
            return [ops.sigmoid(leave) * ops.tanh(cell), cell]
        units = self.units
        gates = projected[..., : 2 * units] + from_state[..., : 2 * units] + bias[: 2 * units]
        reset, update = ops.split(ops.sigmoid(gates), 2, axis=-1)
        ours, theirs = from_state[..., 2 * units :], projected[..., 2 * units :]
        last = bias[2 * units :]
        candidate = (ours + last) * reset if self.final else ours * reset + last
        update = update * hidden + (1 - update) * ops.tanh(theirs + candidate)
        return [update]

    def call(self, x: Tensor, state: CellState) -> CellState:
        """Takes a step from an input that is not projected yet."""
        return self.advance(self.project(x) if self.reads_input else None, state)

    def get_config(self) -> dict[str, Any]:
        names = ("cell", "units", "reads_input", "final", "norm", "bias_place")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def empty_state(cell: str, like: Tensor, units: int) -> CellState:
    """Returns zeros for the rows of `like [B, ...]`."""
    shape = (ops.shape(like)[0], units)
    return [ops.zeros(shape, dtype=like.dtype) for _ in range(2 if cell == "lstm" else 1)]
