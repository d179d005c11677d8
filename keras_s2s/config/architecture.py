"""Configuration of a network's architecture: embeddings, encoder, bridge, decoder, output.

What a YAML file may say under `architecture:`. The settings of the parts are in `config/parts/`;
here they are put together, and checked to fit each other. `builder.py` makes layers of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, Tag, model_validator

from keras_s2s.config.errors import Misfit
from keras_s2s.config.parts.embedding import EmbeddingConfig
from keras_s2s.config.parts.recurrent import AttentionConfig, BridgeConfig, CellsConfig
from keras_s2s.config.parts.registry import (
    TAG,
    FrontendConfig,
    RegisteredSide,
    TokensConfig,
    registered,
    tag_of,
)
from keras_s2s.config.parts.shared import spread_shared
from keras_s2s.config.parts.transformer import SSRUConfig, StackConfig, TransformerConfig
from keras_s2s.config.strict import Flag, Number, Positive, Rate, Strict


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


EncoderConfig = Annotated[
    Annotated[RecurrentEncoderConfig, Tag("recurrent")]
    | Annotated[TransformerConfig, Tag("transformer")]
    | Annotated[SerializeAsAny[RegisteredSide], registered("encoder"), Tag(TAG)],
    tag_of("encoder"),
]
DecoderConfig = Annotated[
    Annotated[RecurrentDecoderConfig, Tag("recurrent")]
    | Annotated[TransformerConfig, Tag("transformer")]
    | Annotated[SSRUConfig, Tag("ssru")]
    | Annotated[SerializeAsAny[RegisteredSide], registered("decoder"), Tag(TAG)],
    tag_of("decoder"),
]


class OutputTransformConfig(Strict):
    """A dense layer and a normalisation before the projection to logits, as BERT's head has."""

    activation: Literal["relu", "gelu", "gelu_tanh", "silu"] = "gelu"
    norm_epsilon: Annotated[Number, Field(gt=0)] = 1e-12


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
    transform: OutputTransformConfig | None = Field(
        None, description="Layers before the projection (BERT, RoBERTa)."
    )


class ArchitectureConfig(Strict):
    """The architecture of a whole encoder-decoder network."""

    source_vocab_size: Positive | None = Field(None, description="Of sources that are token ids.")
    target_vocab_size: Positive
    frontend: FrontendConfig = TokensConfig()
    encoder: EncoderConfig
    decoder: DecoderConfig
    bridge: BridgeConfig | None = Field(None, description="For recurrent decoders only.")
    memory_projection: Flag = Field(
        False, description="A linear layer from the encoder's width to the decoder's."
    )
    share_embeddings: Flag = Field(False, description="One table for source and target.")
    tie_encoder_decoder: Flag = Field(
        False,
        description="The decoder has the weights of the encoder, but for its cross-attention "
        "[Rothe 2020, BERTShare].",
    )
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
        self._sides_may_be_tied()
        if isinstance(self.encoder, TransformerConfig) and self.encoder.residual_keys:
            raise Misfit(("encoder", "residual_keys"), "is for a decoder; drop it")
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
        if isinstance(self.decoder, StackConfig) and self.bridge is not None:
            raise ValueError(
                f"a bridge hands a state to a recurrent decoder; a {self.decoder.type} has none"
            )
        if self.decoder.type == "recurrent" and self.bridge is None:
            raise ValueError("a recurrent decoder needs a bridge: copy, dense or zero")
        if isinstance(self.decoder, RecurrentDecoderConfig):
            self._states_fit(self.decoder)
            self._scores_fit(self.decoder)
        return self

    def _sides_may_be_tied(self) -> None:
        """Checks that encoder and decoder are equal where one has the weights of the other."""
        if not self.tie_encoder_decoder:
            return
        if not isinstance(self.encoder, TransformerConfig) or self.encoder != self.decoder:
            names = [
                name
                for name in TransformerConfig.model_fields
                if getattr(self.encoder, name, None) != getattr(self.decoder, name, None)
            ]
            raise Misfit(
                ("tie_encoder_decoder",),
                "needs two equal Transformer stacks, but encoder and decoder differ in "
                + ", ".join(names or ["type"]),
            )
        if not self.share_embeddings:
            raise Misfit(("share_embeddings",), "must be true with tie_encoder_decoder")
        if self.encoder.relative_positions is not None:
            raise Misfit(("tie_encoder_decoder",), "does not go with relative_positions")

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


def output_dim(encoder: RecurrentEncoderConfig | StackConfig | RegisteredSide) -> int:
    """Returns the width of an encoder's outputs, both directions counted."""
    if isinstance(encoder, RegisteredSide):
        return encoder.output_dim
    both_ways = isinstance(encoder, RecurrentEncoderConfig) and encoder.bidirectional
    return encoder.hidden_dim * (2 if both_ways else 1)


def readout_dim(architecture: ArchitectureConfig) -> int:
    """Returns the width of the vectors that the output projection reads."""
    decoder = architecture.decoder
    if isinstance(decoder, RegisteredSide):
        return decoder.readout_dim
    if not isinstance(decoder, RecurrentDecoderConfig) or decoder.readout_kind != "concat":
        return decoder.hidden_dim
    after_the_cell = decoder.attention is not None and decoder.attention.query == "current"
    token = 0 if after_the_cell else embedding_dim(decoder)
    return decoder.hidden_dim + output_dim(architecture.encoder) + token


def embedding_dim(
    side: RecurrentEncoderConfig | RecurrentDecoderConfig | StackConfig | RegisteredSide,
) -> int:
    """Returns the width of a side's token embedding (`hidden_dim` by default)."""
    return side.embedding.dim or side.hidden_dim
