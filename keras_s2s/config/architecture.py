"""Configuration of a network's architecture: embeddings, encoder, bridge, decoder, output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, Tag, model_validator

from keras_s2s.config.errors import Misfit
from keras_s2s.config.parts import (
    TAG,
    FrontendConfig,
    RegisteredPart,
    TokensConfig,
    registered,
    tag_of,
)
from keras_s2s.config.recurrent import AttentionConfig, BridgeConfig, CellsConfig
from keras_s2s.config.shared import spread_shared
from keras_s2s.config.strict import LARGEST, Count, Depth, Flag, Number, Positive, Rate, Strict


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
        return self


class RecurrentEncoderConfig(CellsConfig):
    """A stack of GRU, LSTM or simple RNN layers over the source."""

    bidirectional: Flag = False
    dropout: Rate = Field(0.0, description="Between layers and on the top layer's outputs.")
    embedding: EmbeddingConfig = EmbeddingConfig()


class RecurrentDecoderConfig(CellsConfig):
    """A stack of GRU, LSTM or simple RNN cells over the target."""

    dropout: Rate = Field(0.0, description="Between layers and before the output projection.")
    context: Literal["initial_state", "every_step", "attention"] = Field(
        "initial_state",
        description="The source as initial state only [Sutskever 2014], as a fixed vector "
        "fed at every step too [Cho 2014], or by attention.",
    )
    attention: AttentionConfig | None = None
    readout: Literal["dense", "concat", "hidden"] | None = Field(
        None,
        description="What the output projection reads. dense: tanh(W [hidden; context]), with the "
        "embedding where the context enters the cell [Luong 2015, eq. 5]; concat: these side by "
        "side; hidden: the top cell's output alone. `None` is hidden where context is "
        "initial_state, else dense.",
    )
    embedding: EmbeddingConfig = EmbeddingConfig()

    @property
    def readout_kind(self) -> Literal["dense", "concat", "hidden"]:
        """What the output projection reads, with the default filled in."""
        return self.readout or ("hidden" if self.context == "initial_state" else "dense")

    @model_validator(mode="after")
    def _readout_has_parts(self) -> RecurrentDecoderConfig:
        attention = self.attention
        if self.context == "initial_state" and self.readout_kind != "hidden":
            reason = "has no context to read; context: initial_state goes with readout: hidden"
        elif attention and attention.input_feeding and self.readout_kind != "dense":
            reason = "cannot be fed into the next step; input_feeding goes with readout: dense"
        elif attention and attention.query == "current" and self.readout_kind == "hidden":
            reason = (
                "leaves out the context, which with attention.query: current reaches nothing else; "
                "use dense or concat"
            )
        else:
            return self
        raise Misfit(("readout",), f"{self.readout_kind} {reason}")

    @model_validator(mode="after")
    def _attention_matches_context(self) -> RecurrentDecoderConfig:
        if (self.context == "attention") != (self.attention is not None):
            raise ValueError(
                f"context: {self.context} and attention: "
                f"{'set' if self.attention else 'not set'} contradict each other; "
                "an attention block goes with context: attention"
            )
        return self


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
        if self.embedding.dim not in (None, self.hidden_dim):
            raise ValueError(
                f"embedding.dim {self.embedding.dim} differs from hidden_dim {self.hidden_dim}; "
                "a Transformer adds embeddings to its residual stream, so they must agree"
            )
        return self

    @property
    def has_final_norm(self) -> bool:
        """Whether the output of the stack is normalised."""
        return self.norm_order == "pre" if self.final_norm is None else self.final_norm


class RegisteredSide(RegisteredPart):
    """Base of the settings of an encoder or decoder of your own.

    Attributes:
        hidden_dim: width of its outputs.
        embedding: what is done with token vectors before it reads them.
    """

    hidden_dim: Positive
    embedding: EmbeddingConfig = EmbeddingConfig()

    @property
    def output_dim(self) -> int:
        """Width of an encoder's outputs."""
        return self.hidden_dim


EncoderConfig = Annotated[
    Annotated[RecurrentEncoderConfig, Tag("recurrent")]
    | Annotated[TransformerConfig, Tag("transformer")]
    | Annotated[SerializeAsAny[RegisteredSide], registered("encoder"), Tag(TAG)],
    tag_of("encoder"),
]
DecoderConfig = Annotated[
    Annotated[RecurrentDecoderConfig, Tag("recurrent")]
    | Annotated[TransformerConfig, Tag("transformer")]
    | Annotated[SerializeAsAny[RegisteredSide], registered("decoder"), Tag(TAG)],
    tag_of("decoder"),
]


class OutputConfig(Strict):
    """The projection of the decoder's hidden vectors to logits."""

    tie_embeddings: Flag = Field(
        False, description="The projection is the transpose of the target embedding [Press 2017]."
    )
    bias: Flag = Field(True, description="Add a bias per vocabulary entry.")
    train_bias: Flag = Field(
        True,
        description="The bias is trained; false keeps it as it is, as in BART and its relatives, "
        "where it is a buffer.",
    )
    scale: Flag = Field(
        False, description="Multiply hidden vectors by hidden_dim^-0.5 first (T5, where tied)."
    )


class ArchitectureConfig(Strict):
    """The architecture of a whole encoder-decoder network."""

    source_vocab_size: Positive | None = Field(None, description="Of sources that are token ids.")
    target_vocab_size: Positive
    frontend: FrontendConfig = TokensConfig()
    encoder: EncoderConfig
    decoder: DecoderConfig
    bridge: BridgeConfig | None = Field(None, description="For recurrent decoders only.")
    share_embeddings: Flag = Field(False, description="One table for source and target.")
    output: OutputConfig = OutputConfig()

    @model_validator(mode="before")
    @classmethod
    def _spread_shared(cls, data: Any) -> Any:
        return spread_shared(data) if isinstance(data, Mapping) else data

    @model_validator(mode="after")
    def _parts_fit(self) -> ArchitectureConfig:
        if isinstance(self.frontend, TokensConfig) and self.source_vocab_size is None:
            raise Misfit(
                ("source_vocab_size",),
                "required, but missing (sources that are no token ids name a frontend)",
            )
        self._frontend_fits()
        encoder_width, decoder_width = embedding_dim(self.encoder), embedding_dim(self.decoder)
        if self.share_embeddings and (
            encoder_width != decoder_width or self.source_vocab_size != self.target_vocab_size
        ):
            raise ValueError(
                "share_embeddings needs equal vocabularies and widths, but the source has "
                f"{self.source_vocab_size} x {encoder_width} and the target "
                f"{self.target_vocab_size} x {decoder_width}"
            )
        if self.output.tie_embeddings and decoder_width != (width := readout_dim(self)):
            what = "hidden_dim" if width == self.decoder.hidden_dim else "readout's width"
            raise ValueError(
                f"output.tie_embeddings needs the decoder's embedding width {decoder_width} "
                f"to equal its {what} {width}"
            )
        if self.decoder.type == "transformer" and self.bridge is not None:
            raise ValueError(
                "a bridge hands a state to a recurrent decoder; a transformer has none"
            )
        if self.decoder.type == "recurrent" and self.bridge is None:
            raise ValueError("a recurrent decoder needs a bridge: copy, dense or zero")
        if isinstance(self.decoder, RecurrentDecoderConfig):
            self._states_fit(self.decoder)
            self._scores_fit(self.decoder)
        return self

    def _frontend_fits(self) -> None:
        """Checks that only token ids have a vocabulary, and a table shared with the target."""
        if isinstance(self.frontend, TokensConfig):
            return
        for key, value in (
            ("source_vocab_size", self.source_vocab_size),
            ("share_embeddings", self.share_embeddings or None),
        ):
            if value is not None:
                raise Misfit(
                    (key,), f"is for token ids, but frontend.type is {self.frontend.type}; drop it"
                )

    def _states_fit(self, decoder: RecurrentDecoderConfig) -> None:
        """Checks that a copied state has the decoder's cell, depth and width."""
        if self.bridge is not None and self.bridge.reads == "own":
            self._layers_fit(decoder)
        if self.bridge is None or self.bridge.type != "copy":
            return
        if isinstance(self.encoder, RegisteredSide):
            return  # the layer knows its states; the bridge checks them when it is built
        key = ("bridge", "type")
        if isinstance(self.encoder, TransformerConfig):
            raise Misfit(
                key, "copy has nothing to copy, a transformer encoder has no state; use dense"
            )
        # An LSTM has two states a layer, the other cells one.
        two_states = self.encoder.cell == "lstm", decoder.cell == "lstm"
        widths = output_dim(self.encoder), decoder.hidden_dim
        depths = self.encoder.num_layers, decoder.num_layers
        if two_states[0] != two_states[1] or widths[0] != widths[1] or depths[0] != depths[1]:
            doubled = (
                f" (twice its hidden_dim {self.encoder.hidden_dim}: bidirectional)"
                if self.encoder.bidirectional
                else ""
            )
            raise Misfit(
                key,
                f"copy needs equal states, but the encoder ends in {depths[0]} x "
                f"{self.encoder.cell} of width {widths[0]}{doubled} and the decoder starts from "
                f"{depths[1]} x {decoder.cell} of width {widths[1]}; use dense, or make cell, "
                "num_layers and width agree",
            )

    def _layers_fit(self, decoder: RecurrentDecoderConfig) -> None:
        """Checks that each state of the decoder has one of the encoder to be made of."""
        if isinstance(self.encoder, RegisteredSide):
            return
        found = "a transformer encoder has no state"
        if isinstance(self.encoder, RecurrentEncoderConfig):
            mine = self.encoder.num_layers, self.encoder.cell == "lstm"
            if mine == (decoder.num_layers, decoder.cell == "lstm"):
                return
            found = (
                f"the encoder has {self.encoder.num_layers} x {self.encoder.cell} and the decoder "
                f"{decoder.num_layers} x {decoder.cell}"
            )
        raise Misfit(
            ("bridge", "reads"),
            f"own needs as many layers and states on both sides, but {found}; use all",
        )

    def _scores_fit(self, decoder: RecurrentDecoderConfig) -> None:
        """Checks that dot-product attention compares vectors of the same width."""
        width = output_dim(self.encoder)
        score = decoder.attention.score if decoder.attention else None
        if score == "dot" and width != decoder.hidden_dim:
            raise Misfit(
                ("decoder", "attention", "score"),
                f"dot needs equal widths, but the decoder's hidden_dim is {decoder.hidden_dim} "
                f"and the encoder's outputs have {width}; use general, or make them agree (a "
                "bidirectional encoder counts twice its hidden_dim)",
            )


def output_dim(encoder: RecurrentEncoderConfig | TransformerConfig | RegisteredSide) -> int:
    """Returns the width of an encoder's outputs, both directions counted."""
    if isinstance(encoder, RegisteredSide):
        return encoder.output_dim
    both_ways = isinstance(encoder, RecurrentEncoderConfig) and encoder.bidirectional
    return encoder.hidden_dim * (2 if both_ways else 1)


def readout_dim(architecture: ArchitectureConfig) -> int:
    """Returns the width of the vectors that the output projection reads."""
    decoder = architecture.decoder
    if not isinstance(decoder, RecurrentDecoderConfig) or decoder.readout_kind != "concat":
        return decoder.hidden_dim
    after_the_cell = decoder.attention is not None and decoder.attention.query == "current"
    token = 0 if after_the_cell else embedding_dim(decoder)
    return decoder.hidden_dim + output_dim(architecture.encoder) + token


def embedding_dim(
    side: RecurrentEncoderConfig | RecurrentDecoderConfig | TransformerConfig | RegisteredSide,
) -> int:
    """Returns the width of a side's token embedding (`hidden_dim` by default)."""
    return side.embedding.dim or side.hidden_dim
