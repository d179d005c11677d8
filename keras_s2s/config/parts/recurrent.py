"""Configuration of the parts of recurrent networks: cells, attention, bridge."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from keras_s2s.config.errors import Misfit
from keras_s2s.config.strict import Depth, Flag, Positive, Strict


class CellsConfig(Strict):
    """Settings of a stack of recurrent cells."""

    type: Literal["recurrent"]
    cell: Literal["gru", "lstm", "rnn"]
    hidden_dim: Positive = Field(description="Units, of each direction.")
    num_layers: Depth = 1
    activation: Literal["tanh", "relu"] = Field("tanh", description="Of cell: rnn.")
    use_bias: Flag = Field(True, description="Biases in the cells.")

    @model_validator(mode="after")
    def _gates_have_their_own(self) -> Self:
        if self.cell != "rnn" and self.activation != "tanh":
            raise Misfit(
                ("activation",),
                f"{self.activation} is for cell: rnn; the gates of {self.cell} have their own",
            )
        return self


#: Scores that compare query and key in a hidden layer, whose width is `units`.
WITH_UNITS = ("additive", "concat")


class AttentionConfig(Strict):
    """How a recurrent decoder attends to the encoder's outputs."""

    score: Literal["additive", "dot", "general", "concat"] = Field(
        description="additive [Bahdanau 2015]; dot, general (bilinear), concat [Luong 2015]."
    )
    query: Literal["previous", "current"] = Field(
        description="Attend before the cell, with its last state [Bahdanau], or after it [Luong]."
    )
    units: Positive | None = Field(
        None, description="Width of the additive and concat score; `None` is the hidden_dim."
    )
    input_feeding: Flag = Field(
        False, description="Feed the last attentional vector into the next step [Luong 2015, 3.3]."
    )

    @model_validator(mode="after")
    def _settings_have_an_effect(self) -> AttentionConfig:
        if self.input_feeding and self.query == "previous":
            raise ValueError(
                "input_feeding goes with query: current; with query: previous the context "
                "already enters the cell"
            )
        if self.units is not None and self.score not in WITH_UNITS:
            raise ValueError(f"units has no meaning for score: {self.score}")
        return self


class BridgeConfig(Strict):
    """How the encoder's final state becomes the initial state of a recurrent decoder."""

    type: Literal["copy", "dense", "zero"] = "copy"
    activation: Literal["linear", "tanh", "relu"] = Field(
        "tanh", description="Of the dense bridge [Bahdanau 2015, A.2.2]."
    )
    reads: Literal["all", "top", "own"] = Field(
        "all",
        description="What the dense bridge makes a state of: all final states of the encoder; "
        "those of its top layer; or the one of the same layer and kind (hidden state or cell).",
    )
    shared: Flag = Field(
        False, description="One projection of each kind for all layers; with reads: own."
    )

    @model_validator(mode="after")
    def _only_a_projection_reads(self) -> BridgeConfig:
        if self.type != "dense" and self.reads != "all":
            raise Misfit(("reads",), f"{self.reads} is for type: dense, not {self.type}")
        if self.shared and self.reads != "own":
            raise Misfit(
                ("shared",),
                f"true goes with reads: own; with {self.reads} all layers would be equal",
            )
        return self
