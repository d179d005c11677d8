"""Configuration of what is done with token vectors before an encoder or decoder reads them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from keras_s2s.config.strict import Count, Flag, Number, Positive, Rate, Strict


class EmbeddingConfig(Strict):
    """A token embedding and, where the layers above need them, positions."""

    dim: Positive | None = Field(None, description="Width; `None` is the hidden_dim of its side.")
    scale: Flag = Field(False, description="Multiply embeddings by sqrt(dim) [Vaswani 2017, 3.4].")
    positions: Literal["none", "sinusoidal", "learned"] = "none"
    max_positions: Positive | None = Field(
        None, description="Positions of a learned table; longer inputs are refused."
    )
    position_offset: Count = Field(
        0,
        description="The first token's position: 2 in fairseq's models (BART, M2M-100). A learned "
        "table has as many rows more.",
    )
    sinusoids: Literal["interleaved", "halves", "tensor2tensor"] = Field(
        "interleaved",
        description="Sine and cosine of a rate side by side [Vaswani 2017], all sines before all "
        "cosines (Marian, Pegasus), or that with rates spread over dim / 2 - 1 (M2M-100, OpenNMT).",
    )
    norm: Flag = Field(False, description="Layer normalisation of the sum (BERT, BART).")
    norm_place: Literal["after_positions", "before_positions"] = Field(
        "after_positions", description="Of norm; before_positions is Blenderbot-small's decoder."
    )
    norm_epsilon: Annotated[Number, Field(gt=0)] = Field(1e-5, description="Of norm.")
    activation: Literal["linear", "relu"] = Field(
        "linear",
        description="Of what the layers above read; relu in the decoder of PyTorch's translation "
        "tutorial.",
    )
    token_types: Count = Field(
        0,
        description="Rows of a table of token types (BERT's segments). A source is one segment: "
        "the first row is added to every position.",
    )
    projection: Flag = Field(
        False,
        description="A linear layer from dim to hidden_dim, at the end: factorised embeddings "
        "(ALBERT, ELECTRA) [Lan 2020, section 3.1].",
    )
    zero_start: Flag = Field(
        False,
        description="The first position's token vector is zeros, whichever its id: a decoder "
        "without a start token (Marian). Positions are added to it.",
    )
    dropout: Rate = 0.0

    @model_validator(mode="after")
    def _learned_needs_length(self) -> EmbeddingConfig:
        if self.positions == "learned" and self.max_positions is None:
            raise ValueError("positions: learned needs max_positions, the rows of its table")
        if self.positions != "learned" and self.max_positions is not None:
            raise ValueError(f"max_positions is for positions: learned, not {self.positions}")
        if self.positions == "none" and self.position_offset:
            raise ValueError("position_offset has no meaning with positions: none")
        if self.positions != "sinusoidal" and self.sinusoids != "interleaved":
            raise ValueError(f"sinusoids is for positions: sinusoidal, not {self.positions}")
        if not self.norm and self.norm_place != "after_positions":
            raise ValueError("norm_place has no meaning without norm: true")
        if self.projection and self.dim is None:
            raise ValueError("projection needs dim, the width that it projects from")
        return self
