"""Configuration of the encoder and decoder of a Transformer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

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


class TransformerConfig(Strict):
    """Settings that the encoder and decoder blocks of a Transformer have in common."""

    type: Literal["transformer"]
    hidden_dim: Positive
    num_heads: Positive
    head_dim: Positive | None = Field(
        None, description="Width of a head; `None` is hidden_dim / num_heads."
    )
    intermediate_dim: Positive = Field(description="Width of the feed-forward layer.")
    num_layers: Depth
    activation: Literal["relu", "gelu", "gelu_tanh", "silu"] = "relu"
    gated: Flag = Field(False, description="Gated feed-forward: act(W x) * (V x) [Shazeer 2020].")
    norm_order: Literal["pre", "post"] = Field(
        "post", description="Normalise before each sub-layer, or after its residual sum."
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
    def _heads_divide_width(self) -> TransformerConfig:
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
