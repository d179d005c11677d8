"""Configuration of deep recurrent encoders and of conditional decoders: the networks of Nematus and
of Marian's `s2s`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from keras_s2s.config.parts.registry import RegisteredSide, register_part
from keras_s2s.config.strict import Depth, Flag

Norm = Literal["none", "scale", "nematus"]


class _DeepCells(RegisteredSide):
    cell: Literal["gru", "lstm"] = "gru"
    num_layers: Depth = 1
    norm: Norm = Field(
        "none",
        description="Layer normalisation in the cells: scale, over all gates with a scale alone; "
        "nematus, of gates and candidates apart, with an offset.",
    )
    skip: Flag = Field(False, description="Each layer but the first adds its input to its output.")

    def _cells(self, count: int, inputs: int) -> int:
        """Returns the weights of cells, of which so many read token vectors."""
        gates = 4 if self.cell == "lstm" else 3
        vectors = inputs * (self.embedding.dim or self.hidden_dim)
        return gates * self.hidden_dim * (count * self.hidden_dim + vectors)


class DeepRecurrentConfig(_DeepCells):
    """Settings of `DeepRecurrentEncoder`.

    Example:
        >>> DeepRecurrentConfig(type="deep_recurrent", hidden_dim=8).output_dim
        16
    """

    type: Literal["deep_recurrent"]
    direction: Literal["bidirectional", "alternating", "bi_unidirectional"] = Field(
        "bidirectional",
        description="Two stacks, one in each direction; two stacks whose layers change direction; "
        "or one layer in each direction, and a stack over both.",
    )
    cell_depth: Depth = Field(1, description="Cells of a step, one after the other [Barone 2017].")

    @property
    def output_dim(self) -> int:
        """Width of the outputs: twice hidden_dim where two stacks end side by side."""
        both = self.direction != "bi_unidirectional" or self.num_layers == 1
        return self.hidden_dim * (2 if both else 1)

    @property
    def least_count(self) -> int:
        over_both = self.direction == "bi_unidirectional"
        layers = self.num_layers + 1 if over_both else 2 * self.num_layers
        return self._cells(layers * self.cell_depth, 2)


class ConditionalConfig(_DeepCells):
    """Settings of `ConditionalDecoder`.

    Example:
        >>> ConditionalConfig(type="conditional", hidden_dim=8, embedding={"dim": 4}).readout_dim
        4
    """

    type: Literal["conditional"]
    cell_depth: Depth = Field(
        2, description="Cells of the first layer's step; attention stands behind the first."
    )
    upper_cell_depth: Depth = Field(1, description="Cells of the other layers' steps.")
    readout_norm: Norm = Field(
        "none", description="Layer normalisation of attention, first state and readout."
    )

    @property
    def readout_dim(self) -> int:
        """Width of what the output projection reads: that of the token vectors."""
        return self.embedding.dim or self.hidden_dim

    @property
    def least_count(self) -> int:
        return self._cells(self.cell_depth + (self.num_layers - 1) * self.upper_cell_depth, 1)


register_part("encoder", DeepRecurrentConfig)
register_part("decoder", ConditionalConfig)
