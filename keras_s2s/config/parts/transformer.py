"""Configuration of the encoder and decoder of a Transformer, and of decoders like it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from keras_s2s.config.errors import Misfit
from keras_s2s.config.parts.embedding import EmbeddingConfig
from keras_s2s.config.strict import LARGEST, Depth, Flag, Number, Positive, Rate, Strict


class RelativePositionsConfig(Strict):
    """Learned biases of self-attention for bucketed distances [Raffel 2020, section 2.1]."""

    num_buckets: Annotated[int, Field(ge=4, le=LARGEST, strict=True)] = 32
    max_distance: Positive = Field(128, description="Distances from here on share the last bucket.")
    per_layer: Flag = Field(False, description="A table in every layer (UMT5), not one for all.")

    @model_validator(mode="after")
    def _buckets_hold(self) -> RelativePositionsConfig:
        if self.max_distance <= self.num_buckets // 2:
            raise ValueError(
                f"max_distance {self.max_distance} must exceed half of num_buckets "
                f"{self.num_buckets}: nearer distances have a bucket each"
            )
        return self


class StepsConfig(Strict):
    """The steps around each sub-layer, in their order: `n` normalisation, `d` dropout, `a` addition
    of the sub-layer's input.

    Example:
        >>> StepsConfig(before="n", after="dan").after
        'dan'
    """

    before: Annotated[str, Field(pattern="^[nd]*$")] = Field(description="On its input: n, d.")
    after: Annotated[str, Field(pattern="^[nda]*$")] = Field(description="On its output: n, d, a.")


class StackConfig(Strict):
    """Settings that all stacks of blocks with feed-forward layers and attention have in common."""

    type: str
    hidden_dim: Positive
    num_heads: Positive
    head_dim: Positive | None = Field(
        None, description="Width of a head; `None` is hidden_dim / num_heads."
    )
    intermediate_dim: Positive = Field(description="Width of the feed-forward layer.")
    num_layers: Depth
    activation: Literal["relu", "gelu", "gelu_tanh", "gelu_sigmoid", "silu"] = "relu"
    gated: Flag = Field(False, description="Gated feed-forward: act(W x) * (V x) [Shazeer 2020].")
    norm_order: Literal["pre", "post", "steps"] = Field(
        "post",
        description="Normalise before each sub-layer, or after its residual sum; or as `steps` "
        "says.",
    )
    steps: StepsConfig | None = Field(
        None, description="Around each sub-layer, for norm_order: steps (Marian)."
    )
    norm: Literal["layer", "rms"] = Field(
        "layer", description="Layer normalisation, or by root mean square, without bias (T5)."
    )
    norm_epsilon: Annotated[Number, Field(gt=0)] = 1e-6
    final_norm: Flag | None = Field(
        None, description="Normalise the stack's output; `None` means: where norm_order is pre."
    )
    use_bias: Flag = Field(True, description="Biases in every projection of the blocks.")
    scale_attention: Flag = Field(True, description="Divide scores by sqrt(head_dim); T5 does not.")
    relative_positions: RelativePositionsConfig | None = None
    layer_groups: Positive | None = Field(
        None,
        description="Blocks with weights of their own: num_layers / layer_groups neighbours share "
        "one block (ALBERT: 1) [Lan 2020]; `None`: every layer has its own.",
    )
    dropout: Rate = Field(0.0, description="On each sub-layer's output, before the residual sum.")
    attention_dropout: Rate = Field(0.0, description="On attention weights.")
    activation_dropout: Rate = Field(0.0, description="Inside the feed-forward layer.")
    output_dropout: Rate = Field(0.0, description="On the stack's output (T5).")
    embedding: EmbeddingConfig = EmbeddingConfig(positions="sinusoidal", scale=True)

    @model_validator(mode="after")
    def _steps_are_asked_for(self) -> Self:
        if (self.norm_order == "steps") != (self.steps is not None):
            raise Misfit(
                ("steps",),
                f"{'set' if self.steps else 'not set'} contradicts norm_order: {self.norm_order}; "
                "steps goes with norm_order: steps",
            )
        return self

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.head_dim is None and self.hidden_dim % self.num_heads:
            raise ValueError(
                f"hidden_dim {self.hidden_dim} is not a multiple of num_heads {self.num_heads}, "
                "and head_dim is not set"
            )
        if self.embedding.dim not in (None, self.hidden_dim) and not self.embedding.projection:
            raise ValueError(
                f"embedding.dim {self.embedding.dim} differs from hidden_dim {self.hidden_dim}; "
                "a Transformer adds embeddings to its residual stream, so they must agree, or "
                "embedding.projection: true projects them"
            )
        if self.layer_groups is not None and self.layer_groups > self.num_layers:
            raise ValueError(
                f"layer_groups {self.layer_groups} exceeds num_layers {self.num_layers}"
            )
        if self.layer_groups is not None and self.relative_positions is not None:
            raise ValueError("layer_groups does not go with relative_positions")
        return self

    @property
    def has_final_norm(self) -> bool:
        """Whether the output of the stack is normalised."""
        return self.norm_order == "pre" if self.final_norm is None else self.final_norm


class TransformerConfig(StackConfig):
    """Settings that the encoder and decoder blocks of a Transformer have in common."""

    type: Literal["transformer"]
    residual_keys: Flag = Field(
        False,
        description="Of a decoder: keys and values of self-attention are made of the residual "
        "stream before its normalisation, but at the first position (Marian's decoding of pre-norm "
        "models).",
    )


class SSRUConfig(StackConfig):
    """Settings of a decoder whose blocks have an SSRU in the place of self-attention [Kim 2019]."""

    type: Literal["ssru"]
    ssru_projection: Flag = Field(
        False, description="A linear layer on the SSRU's outputs (Marian's rnn-projection)."
    )

    @model_validator(mode="after")
    def _has_no_positions_to_compare(self) -> SSRUConfig:
        if self.relative_positions is not None:
            raise Misfit(
                ("relative_positions",), "are of self-attention, which a decoder of SSRUs lacks"
            )
        return self
