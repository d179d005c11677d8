"""Typed, frozen, strict configuration: what a model, its text side and a recipe consist of.

Every setting is declared once, here, with its default and its meaning.  A key that no
declaration knows is an error that names the file, the key and the nearest valid key.
This module imports no keras, so that a configuration can be read, checked and printed
without loading a backend.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

#: The keys from the top of a configuration down to a setting.
KeyPath = tuple[Any, ...]


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names file, key, value and remedy."""


class MissingFileError(ConfigError, FileNotFoundError):
    """A file that a folder needs and does not have; the message names it."""


class Misfit(ValueError):
    """A setting that does not fit another one, raised by a validator above both.

    Args:
        keys: the setting to change, as a path below the configuration that validates.
        message: what does not fit, and what to do.
    """

    def __init__(self, keys: KeyPath, message: str) -> None:
        super().__init__(message)
        self.keys = keys


class Strict(BaseModel):
    """Base of every configuration: unknown keys are refused, values cannot be changed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False
    )


def _no_flag(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


#: Sizes and ids are int32 in every backend.
LARGEST = 2**31 - 1

# Strict, and no bool for a float: otherwise `true` would be 1, and "no" a flag that is set.
Number = Annotated[float, BeforeValidator(_no_flag)]
Flag = Annotated[bool, Field(strict=True)]
Rate = Annotated[Number, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(ge=1, le=LARGEST, strict=True)]
Count = Annotated[int, Field(ge=0, le=LARGEST, strict=True)]
TokenId = Count
#: Each is a row of every cache: more than any search uses, less than memory ends.
Beams = Annotated[int, Field(ge=1, le=2**14, strict=True)]
#: The deepest published Transformer has 500 a side [Wang 2022]; a slip of the pen has millions.
Depth = Annotated[int, Field(ge=1, le=1024, strict=True)]


# --------------------------------------------------------------------------------------
# Special ids
# --------------------------------------------------------------------------------------


class SourceIds(Strict):
    """Ids with a meaning of their own on the encoder's side."""

    pad: TokenId = Field(description="Fills a batch's rows up to the same length.")
    eos: TokenId | None = Field(None, description="Appended to every source, if set.")
    bos: TokenId | None = Field(None, description="Put before every source, if set.")
    unk: TokenId | None = Field(None, description="Stands for text outside the vocabulary.")


class TargetIds(Strict):
    """Ids with a meaning of their own on the decoder's side."""

    decoder_start: TokenId = Field(description="The decoder's first input; never a label.")
    eos: TokenId = Field(description="Ends every target; the last label.")
    pad: TokenId = Field(description="Fills a batch's rows up to the same length.")
    bos: TokenId | None = Field(None, description="Put before every target as a label, if set.")
    unk: TokenId | None = Field(None, description="Stands for text outside the vocabulary.")
    forced_bos: TokenId | None = Field(None, description="First generated id.")
    forced_eos: TokenId | None = Field(
        None, description="Last id when the maximum length is reached."
    )


class LanguagesConfig(Strict):
    """Languages of a multilingual model, and where their ids stand.

    Example:
        >>> LanguagesConfig(codes={"en_XX": 7, "ko_KR": 8}, source="prefix", target="forced_bos")
    """

    codes: dict[str, TokenId] = Field(description="Code of a language to its id.")
    source: Literal["none", "prefix", "suffix"] = Field(
        description="Where a source has its own language's id: before all else (mBART-50, M2M-100, "
        "NLLB) or after its EOS (mBART-25, PLBART)."
    )
    target: Literal["forced_bos", "decoder_start", "source_prefix"] = Field(
        description="How the target's language is told: as the first generated id, which labels "
        "begin with (mBART-50, M2M-100, NLLB), as the decoder's first input (mBART-25, PLBART), or "
        "before the source (Marian)."
    )
    default_source: str | None = Field(None, description="Where a call names no source language.")
    default_target: str | None = Field(None, description="Where a call names no target language.")

    @model_validator(mode="after")
    def _defaults_are_codes(self) -> LanguagesConfig:
        for name in ("default_source", "default_target"):
            code = getattr(self, name)
            if code is not None and code not in self.codes:
                close = _nearest(code, list(self.codes))
                hint = f"did you mean {close!r}?" if close else "add it there, or leave it out"
                raise Misfit((name,), f"{code!r} is not one of codes; {hint}")
        return self


class SpecialIds(Strict):
    """The one place where ids with a meaning are written down.

    Tokenizers are checked against it; batches, masks and samplers read it.  It exists
    also for a model that has no tokenizer.
    """

    source: SourceIds
    target: TargetIds
    languages: LanguagesConfig | None = Field(None, description="Of a multilingual model.")


# --------------------------------------------------------------------------------------
# Architecture
# --------------------------------------------------------------------------------------


class EmbeddingConfig(Strict):
    """Token embedding, and positions where the layers above do not see order themselves."""

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


class AttentionConfig(Strict):
    """How a recurrent decoder reads the encoder's outputs."""

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
    def _feeding_needs_current(self) -> AttentionConfig:
        if self.input_feeding and self.query == "previous":
            raise ValueError(
                "input_feeding goes with query: current; with query: previous the context "
                "already enters the cell"
            )
        if self.units is not None and self.score in ("dot", "general"):
            raise ValueError(f"units has no meaning for score: {self.score}")
        return self


class RecurrentEncoderConfig(Strict):
    """Stack of GRU, LSTM or simple RNN layers over the source."""

    type: Literal["recurrent"]
    cell: Literal["gru", "lstm", "rnn"]
    hidden_dim: Positive = Field(description="Units per direction.")
    num_layers: Depth = 1
    bidirectional: Flag = False
    dropout: Rate = Field(0.0, description="Between layers and on the top layer's outputs.")
    embedding: EmbeddingConfig = EmbeddingConfig()


class RecurrentDecoderConfig(Strict):
    """Stack of GRU, LSTM or simple RNN cells over the target."""

    type: Literal["recurrent"]
    cell: Literal["gru", "lstm", "rnn"]
    hidden_dim: Positive
    num_layers: Depth = 1
    dropout: Rate = Field(0.0, description="Between layers and before the output projection.")
    context: Literal["initial_state", "every_step", "attention"] = Field(
        "initial_state",
        description="The source as initial state only [Sutskever 2014], as a fixed vector "
        "fed at every step too [Cho 2014], or by attention.",
    )
    attention: AttentionConfig | None = None
    embedding: EmbeddingConfig = EmbeddingConfig()

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
    """Learned biases of self-attention by distance in buckets [Raffel 2020, section 2.1]."""

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
    """What encoder and decoder blocks of a Transformer share."""

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
        """Whether the stack ends in a normalisation of its own."""
        return self.norm_order == "pre" if self.final_norm is None else self.final_norm


EncoderConfig = Annotated[
    Union[RecurrentEncoderConfig, TransformerConfig], Field(discriminator="type")  # noqa: UP007
]
DecoderConfig = Annotated[
    Union[RecurrentDecoderConfig, TransformerConfig], Field(discriminator="type")  # noqa: UP007
]


class BridgeConfig(Strict):
    """How the encoder's final state becomes a recurrent decoder's initial state."""

    type: Literal["copy", "dense", "zero"] = "copy"
    activation: Literal["linear", "tanh", "relu"] = Field(
        "tanh", description="Of the dense bridge [Bahdanau 2015, A.2.2]."
    )


class OutputConfig(Strict):
    """From the decoder's hidden vectors to logits."""

    tie_embeddings: Flag = Field(
        False, description="The projection is the transpose of the target embedding [Press 2017]."
    )
    bias: Flag = Field(True, description="Add a bias per vocabulary entry.")
    scale: Flag = Field(
        False, description="Multiply hidden vectors by hidden_dim^-0.5 first (T5, where tied)."
    )


_SIDES = ("encoder", "decoder")


def spread_shared(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """`shared:` states once what encoder and decoder have in common; a side's own key wins.

    Raises:
        ValueError: what is shared, or a side, is not a mapping.
    """
    spread = dict(architecture)
    if "shared" not in spread:
        return spread
    shared = spread.pop("shared")
    for key, value in (("shared", shared), *((side, spread.get(side)) for side in _SIDES)):
        if value is not None and not isinstance(value, Mapping):
            raise ValueError(f"{key}: expected a mapping of keys, got {value!r}")
    for side in _SIDES:
        spread[side] = merge(shared or {}, spread.get(side) or {})
    return spread


def shared_keys(architecture: Any, above: KeyPath = ()) -> dict[KeyPath, KeyPath]:
    """For each key that `spread_shared` puts on a side: where it was written.

    Args:
        architecture: settings with or without `shared`, not yet spread.
        above: the path of the architecture itself, put before every path.

    Example:
        >>> shared_keys({"shared": {"dropout": 0.1}, "encoder": {"dropout": 0.2}})
        {('decoder', 'dropout'): ('shared', 'dropout')}
    """
    if not isinstance(architecture, Mapping) or not isinstance(architecture.get("shared"), Mapping):
        return {}
    found: dict[KeyPath, KeyPath] = {}

    def visit(shared: Mapping[Any, Any], own: Any, side: KeyPath, written: KeyPath) -> None:
        own = own if isinstance(own, Mapping) else {}
        for key, value in shared.items():
            if key not in own:
                found[*side, key] = (*written, key)
            if isinstance(value, Mapping):
                visit(value, own.get(key), (*side, key), (*written, key))

    for side in _SIDES:
        visit(architecture["shared"], architecture.get(side), (*above, side), (*above, "shared"))
    return found


class ArchitectureConfig(Strict):
    """A whole encoder-decoder network."""

    source_vocab_size: Positive
    target_vocab_size: Positive
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
        encoder_width, decoder_width = embedding_dim(self.encoder), embedding_dim(self.decoder)
        if self.share_embeddings and (
            encoder_width != decoder_width or self.source_vocab_size != self.target_vocab_size
        ):
            raise ValueError(
                "share_embeddings needs equal vocabularies and widths, but the source has "
                f"{self.source_vocab_size} x {encoder_width} and the target "
                f"{self.target_vocab_size} x {decoder_width}"
            )
        if self.output.tie_embeddings and decoder_width != self.decoder.hidden_dim:
            raise ValueError(
                f"output.tie_embeddings needs the decoder's embedding width {decoder_width} "
                f"to equal its hidden_dim {self.decoder.hidden_dim}"
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

    def _states_fit(self, decoder: RecurrentDecoderConfig) -> None:
        """A copied state has the decoder's cell, depth and width."""
        if self.bridge is None or self.bridge.type != "copy":
            return
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

    def _scores_fit(self, decoder: RecurrentDecoderConfig) -> None:
        """A dot product needs two vectors of one width."""
        width = output_dim(self.encoder)
        score = decoder.attention.score if decoder.attention else None
        if score == "dot" and width != decoder.hidden_dim:
            raise Misfit(
                ("decoder", "attention", "score"),
                f"dot needs equal widths, but the decoder's hidden_dim is {decoder.hidden_dim} "
                f"and the encoder's outputs have {width}; use general, or make them agree (a "
                "bidirectional encoder counts twice its hidden_dim)",
            )


def output_dim(encoder: RecurrentEncoderConfig | TransformerConfig) -> int:
    """Width of an encoder's outputs: both directions side by side."""
    both_ways = isinstance(encoder, RecurrentEncoderConfig) and encoder.bidirectional
    return encoder.hidden_dim * (2 if both_ways else 1)


def embedding_dim(side: RecurrentEncoderConfig | RecurrentDecoderConfig | TransformerConfig) -> int:
    """Width of a side's token embedding (`hidden_dim` unless it says otherwise)."""
    return side.embedding.dim or side.hidden_dim


# --------------------------------------------------------------------------------------
# Text
# --------------------------------------------------------------------------------------

TokenizerKind = Literal[
    "character",
    "word",
    "byte",
    "sentencepiece_unigram",
    "sentencepiece_bpe",
    "wordpiece",
    "byte_level_bpe",
]


class TokenizerConfig(Strict):
    """How a tokenizer is trained on text."""

    kind: TokenizerKind
    vocab_size: Positive | None = Field(
        None, description="Upper bound of its vocabulary; `None` is the kind's own default."
    )
    lowercase: Flag = False
    normalization: Literal["none", "nfc", "nfkc"] | None = Field(
        None,
        description="Unicode normalisation before anything else; `None` is the kind's own: "
        "nfkc for SentencePiece (its nmt_nfkc rule), none for byte and byte_level_bpe, else nfc.",
    )
    character_coverage: Annotated[Number, Field(gt=0, le=1)] = Field(
        1.0, description="Share of characters a SentencePiece vocabulary must cover."
    )
    byte_fallback: Flag = Field(
        True, description="SentencePiece spells characters outside its vocabulary as bytes."
    )
    sentinels: Count = Field(
        0, description="Tokens <extra_id_0>, <extra_id_1>, ... for span corruption; T5 has 100."
    )
    mask: Flag = Field(False, description="A token <mask> for text infilling, as BART has it.")


class TextConfig(Strict):
    """Tokenizers of both sides."""

    source: TokenizerConfig
    target: TokenizerConfig | None = Field(None, description="`None`: the same as source.")
    joint: Flag = Field(False, description="One tokenizer trained on both sides' text.")
    source_eos: Flag = Field(True, description="Append EOS to every source.")

    @model_validator(mode="after")
    def _joint_is_one(self) -> TextConfig:
        if self.joint and self.target not in (None, self.source):
            raise ValueError("joint: true trains one tokenizer, so target must not differ")
        return self


# --------------------------------------------------------------------------------------
# Generation
# --------------------------------------------------------------------------------------


class GenerationConfig(Strict):
    """Defaults for `generate`; the names mean what they mean in Hugging Face's configuration."""

    sampler: (
        Literal["greedy", "beam", "random", "top_k", "top_p", "beam_sample", "diverse_beam"] | None
    ) = Field(None, description="`None`: num_beams, do_sample and num_beam_groups choose.")
    max_length: Annotated[int, Field(ge=2, le=LARGEST, strict=True)] = Field(
        128, description="Longest result in ids, the decoder start counted."
    )
    # Strategies
    num_beams: Beams = 1
    do_sample: Flag = False
    num_beam_groups: Positive = 1
    diversity_penalty: Annotated[Number, Field(ge=0)] | None = None
    length_penalty: Annotated[Number, Field(allow_inf_nan=False)] = 1.0
    early_stopping: Flag | Literal["never"] = False
    num_return_sequences: Beams = 1
    temperature: Annotated[Number, Field(gt=0, allow_inf_nan=False)] = 1.0
    top_k: Positive | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    min_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    # Rules; the forced ids belong to the special ids.
    min_length: Count = 0
    min_new_tokens: Count = 0
    repetition_penalty: Annotated[Number, Field(gt=0, allow_inf_nan=False)] = 1.0
    no_repeat_ngram_size: Count = 0
    encoder_no_repeat_ngram_size: Count = 0
    bad_words_ids: list[list[int]] | None = None
    suppress_tokens: list[int] | None = None
    begin_suppress_tokens: list[int] | None = None
    renormalize_logits: Flag = False


# --------------------------------------------------------------------------------------
# Zoo entries and recipes
# --------------------------------------------------------------------------------------


class OriginConfig(Strict):
    """What a folder of another format said that has no key of its own here.

    Kept so that writing the model back gives its owners what they had.
    """

    format: Literal["huggingface", "ctranslate2"]
    config: dict[str, Any] = Field(default_factory=dict, description="Of config.json.")
    generation: dict[str, Any] = Field(
        default_factory=dict, description="Of generation_config.json."
    )
    tables: tuple[str, ...] = Field(
        (), description="Names under which tables of tokens and positions were stored."
    )


class PresetConfig(Strict):
    """One entry of the zoo, after its `base:` chain has been merged into it."""

    description: str
    paper: str | None = Field(None, description="Reference of the architecture.")
    license: str | None = Field(None, description="Of the public checkpoint, an SPDX name.")
    family: str | None = Field(None, description="The zoo's family that it is built on.")
    source: str | None = Field(
        None, description="Where trained weights are: hf://organisation/name."
    )
    origin: OriginConfig | None = None
    architecture: ArchitectureConfig
    special_ids: SpecialIds
    text: TextConfig | None = Field(None, description="Tokenizers a recipe trains by default.")
    generation: GenerationConfig = GenerationConfig()
    parameters: Annotated[int, Field(ge=1, strict=True)] | None = Field(
        None, description="Exact parameter count, checked when the model is built by a test."
    )

    @model_validator(mode="after")
    def _ids_exist(self) -> PresetConfig:
        sizes = {
            "source": self.architecture.source_vocab_size,
            "target": self.architecture.target_vocab_size,
        }
        for side, size in sizes.items():
            for name, i in getattr(self.special_ids, side):
                if i is not None and i >= size:
                    raise ValueError(
                        f"special_ids.{side}.{name} is {i}, but architecture.{side}_vocab_size "
                        f"is {size}: ids go from 0 to {size - 1}"
                    )
        return self


class PointerConfig(Strict):
    """An entry of the zoo that says where a checkpoint is, and leaves its sizes to the folder.

    Example:
        >>> PointerConfig(description="Mine.", family="marian", source="hf://me/opus-mt-mine")
    """

    description: str
    paper: str | None = Field(None, description="Reference of the architecture.")
    license: str | None = Field(None, description="Of the checkpoint, an SPDX name.")
    family: str = Field(description="The zoo's family that it is built on.")
    source: str = Field(description="Where trained weights are: hf://organisation/name.")
    text: TextConfig | None = Field(None, description="Tokenizers a recipe trains by default.")


class FilesConfig(Strict):
    """A split as two line-aligned files, one file of pairs, or one of texts for an objective.

    Example:
        >>> FilesConfig(source="train.en.gz", target="train.de.gz")
        >>> FilesConfig(pairs="fra.txt", columns=(0, 1))
        >>> FilesConfig(pairs="train.jsonl", source_key="en", target_key="de")
        >>> FilesConfig(lines="corpus.txt.gz")
    """

    source: str | None = None
    target: str | None = None
    pairs: str | None = Field(
        None, description="One TSV, CSV, JSON-lines or JSON file instead of two files."
    )
    lines: str | None = Field(None, description="One file of texts, one a line, for an objective.")
    format: Literal["tsv", "csv", "jsonl", "json"] | None = Field(
        None, description="Of the pair file, where its name does not tell."
    )
    columns: tuple[Count, Count] | None = Field(
        None,
        description="Source and target column of a TSV file, counted from 0, where it has more "
        "than these two.",
    )
    quotes: bool | None = Field(
        None,
        description="Cells of a TSV or CSV file are quoted as CSV writers do; `None` finds out.",
    )
    source_key: str | None = Field(
        None, description="Key of the source in JSON lines; `None`: source."
    )
    target_key: str | None = Field(
        None, description="Key of the target in JSON lines; `None`: target."
    )

    @model_validator(mode="after")
    def _one_way(self) -> FilesConfig:
        two = self.source is not None and self.target is not None
        ways = (two, self.pairs is not None, self.lines is not None)
        if sum(ways) != 1 or (self.source is None) != (self.target is None):
            raise ValueError("give either source and target, or pairs, or lines")
        options = self.reading
        if self.lines is not None and options:
            raise ValueError(f"{', '.join(options)}: for a file of pairs, not for lines")
        if two and options:
            raise ValueError(f"{', '.join(options)}: for a file of pairs, not for two files")
        if "columns" in options and ("source_key" in options or "target_key" in options):
            raise ValueError("columns is for a TSV file, source_key and target_key for JSON lines")
        return self

    @property
    def paths(self) -> dict[str, str]:
        """The files that are named, by their argument of `data.read_pairs`."""
        given = {"source": self.source, "target": self.target, "pairs": self.pairs}
        return {name: path for name, path in given.items() if path is not None}

    @property
    def reading(self) -> dict[str, Any]:
        """How the pair file is read: the other arguments of `data.read_pairs` that are set."""
        names = ("format", "columns", "quotes", "source_key", "target_key")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class SpanCorruptionConfig(Strict):
    """T5's pre-training task [Raffel 2020]: predict spans that sentinels stand for."""

    noise_density: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.15, description="Share of a text that is lost."
    )
    mean_span_length: Annotated[float, Field(ge=1)] = Field(3.0, description="Of lost spans.")
    ends_in_span: bool = Field(
        True,
        description="Every text ends in a lost span, as in T5's code; a short text, which has one "
        "span, then loses nothing but its end.",
    )


class TextInfillingConfig(Strict):
    """BART's pre-training task [Lewis 2020]: predict a text whose spans are masked."""

    mask_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.3, description="Share of a text that is lost."
    )
    mean_span_length: Annotated[float, Field(ge=1)] = Field(
        3.0, description="Of the Poisson distribution that lengths are drawn from."
    )


class SentencePermutationConfig(Strict):
    """The other half of BART's task: the sentences of a text come in another order."""


class ObjectiveConfig(Strict):
    """How one text becomes a source and a target, drawn anew in every epoch.

    Example:
        >>> ObjectiveConfig(span_corruption={})  # T5
        >>> ObjectiveConfig(sentence_permutation={}, text_infilling={"mask_share": 0.3})  # BART
    """

    sentence_permutation: SentencePermutationConfig | None = Field(
        None, description="Comes first where another one is set."
    )
    span_corruption: SpanCorruptionConfig | None = None
    text_infilling: TextInfillingConfig | None = None

    @model_validator(mode="after")
    def _one_rule_hides(self) -> ObjectiveConfig:
        hiding = (self.span_corruption, self.text_infilling)
        if all(rule is not None for rule in hiding):
            raise ValueError("span_corruption and text_infilling exclude each other")
        if all(rule is None for rule in (*hiding, self.sentence_permutation)):
            raise ValueError(
                "name one, with its settings or {}: span_corruption: {}, text_infilling: {}, "
                "sentence_permutation: {}"
            )
        return self


class DataConfig(Strict):
    """Where a recipe's text pairs come from."""

    generator: Literal["dates"] | None = Field(None, description="A task generated at run time.")
    dir: str | None = Field(None, description="Folder of the files; --set data.dir=FOLDER.")
    objective: ObjectiveConfig | None = Field(
        None, description="Pre-training: makes sources and targets of single texts (lines)."
    )
    train: FilesConfig | None = None
    validation: FilesConfig | None = None
    test: FilesConfig | None = None
    train_size: Positive | None = Field(None, description="Use this many training pairs.")
    validation_size: Positive | None = None
    test_size: Positive | None = None
    max_source_length: Positive | None = Field(None, description="In ids, EOS included.")
    max_target_length: Positive | None = Field(None, description="In ids, EOS included.")
    overlong: Literal["drop", "truncate", "error"] = "drop"

    @model_validator(mode="after")
    def _generated_or_files(self) -> DataConfig:
        if (self.generator is None) == (self.train is None):
            raise ValueError("data needs either a generator or train files")
        if self.objective is not None and self.generator is not None:
            raise Misfit(
                ("objective",), f"works on lines, not on the pairs of generator: {self.generator}"
            )
        for name in ("train", "validation", "test"):
            files = getattr(self, name)
            if files is not None and (files.lines is None) != (self.objective is None):
                raise Misfit(
                    (name,),
                    "lines need an objective, which makes pairs of them"
                    if self.objective is None
                    else "an objective works on single texts; give lines: FILE",
                )
        return self


class OptimizerConfig(Strict):
    """A Keras optimiser and its learning-rate schedule."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    beta_2: Annotated[float, Field(gt=0, lt=1)] = 0.999
    epsilon: Annotated[float, Field(gt=0)] = 1e-7
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    schedule: Literal["constant", "cosine", "inverse_sqrt"] = Field(
        "constant", description="After the warm-up: constant, half a cosine, or step^-0.5."
    )
    warmup_steps: Count = 0


#: Values to watch that compare answers with targets, and the metric that each belongs to.
ANSWER_MONITORS: dict[str, str] = {
    "val_bleu": "bleu",
    "val_chrf": "chrf",
    "val_rouge1": "rouge",
    "val_rouge2": "rouge",
    "val_rougeL": "rouge",
    "val_exact_match": "exact_match",
}


class TrainingConfig(Strict):
    """How a recipe trains."""

    epochs: Positive
    batch_size: Positive = 64
    batch_unit: Literal["sentences", "tokens"] = "sentences"
    num_buckets: Positive = 6
    optimizer: OptimizerConfig = OptimizerConfig()
    label_smoothing: Rate = 0.0
    seed: Count = 0
    dtype: str | None = Field(None, description="A Keras dtype policy, e.g. mixed_bfloat16.")
    max_minutes: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Stop after the epoch in which this time is reached."
    )
    monitor: Literal[
        "val_loss",
        "val_perplexity",
        "val_token_accuracy",
        "val_bleu",
        "val_chrf",
        "val_rouge1",
        "val_rouge2",
        "val_rougeL",
        "val_exact_match",
        "loss",
    ] = Field("val_loss", description="The best epoch by this value is kept.")


#: sacreBLEU's tokenizers. Those from `spm` on read a SentencePiece model in sacreBLEU's cache.
BleuTokenizer = Literal[
    "13a",
    "zh",
    "ja-mecab",
    "ko-mecab",
    "char",
    "intl",
    "none",
    "spm",
    "flores101",
    "flores200",
    "spBLEU-1K",
]


class EvaluationConfig(Strict):
    """What is measured on the test split after training.

    Example:
        >>> EvaluationConfig(metrics=("bleu",), tgt_lang="ja", bleu_tokenize="char")
    """

    metrics: tuple[Literal["bleu", "chrf", "rouge", "exact_match"], ...] = ("bleu", "chrf")
    tgt_lang: str | None = Field(
        None,
        description="Language of the targets, whose words BLEU and ROUGE compare; `None`: what "
        "the model says, or else the script of the targets.",
    )
    bleu_tokenize: BleuTokenizer | None = Field(
        None, description="One of sacreBLEU's tokenizers, instead of the language's."
    )
    samples: Count = Field(5, description="Test examples printed in full.")


class RecipeConfig(Strict):
    """One training run from text pairs to a preset folder."""

    description: str
    model: str = Field(description="Zoo entry the network starts from.")
    architecture: dict[str, Any] = Field(
        default_factory=dict, description="Differences from the zoo entry's architecture."
    )
    text: TextConfig
    data: DataConfig
    training: TrainingConfig
    generation: GenerationConfig = GenerationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @property
    def metrics(self) -> tuple[str, ...]:
        """All that compares answers with targets: after training, and for `training.monitor`."""
        watched = ANSWER_MONITORS.get(self.training.monitor)
        return tuple(dict.fromkeys((*self.evaluation.metrics, *((watched,) if watched else ()))))

    @model_validator(mode="after")
    def _tokenizer_has_a_use(self) -> RecipeConfig:
        if self.evaluation.bleu_tokenize is not None and "bleu" not in self.metrics:
            raise Misfit(
                ("evaluation", "bleu_tokenize"),
                "is BLEU's tokenizer, but bleu is not among evaluation.metrics; add it, or leave "
                "bleu_tokenize out",
            )
        return self

    @model_validator(mode="after")
    def _objective_fits(self) -> RecipeConfig:
        objective = self.data.objective
        if objective is None:
            return self
        if not self.text.joint:
            raise Misfit(
                ("text", "joint"),
                "data.objective makes source and target of one text, so one tokenizer serves "
                "both; set joint: true",
            )
        if objective.span_corruption is not None and not self.text.source.sentinels:
            raise Misfit(
                ("text", "source", "sentinels"),
                "span_corruption needs sentinels, a token for each span of a text; set "
                "sentinels: 100, for example",
            )
        if objective.text_infilling is not None and not self.text.source.mask:
            raise Misfit(
                ("text", "source", "mask"), "text_infilling needs a mask token; set mask: true"
            )
        if self.evaluation.metrics:
            raise Misfit(
                ("evaluation", "metrics"),
                "with an objective, loss, perplexity and token accuracy are measured, and no "
                "answers are compared; set metrics: []",
            )
        if self.training.monitor in ANSWER_MONITORS:
            raise Misfit(
                ("training", "monitor"),
                f"{self.training.monitor} compares answers, which an objective has none of; use "
                "val_loss",
            )
        return self


# --------------------------------------------------------------------------------------
# Reading
# --------------------------------------------------------------------------------------


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge: mappings are merged key by key, anything else in `changes` replaces."""
    merged = dict(base)
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


ConfigT = TypeVar("ConfigT", bound=Strict)


def read_config(
    cls: type[ConfigT],
    data: Any,
    *,
    source: str,
    origins: Mapping[KeyPath, str] | None = None,
    written: Mapping[KeyPath, KeyPath] | None = None,
) -> ConfigT:
    """Validate `data` as `cls`.

    Args:
        cls: the configuration class.
        data: what a YAML reader returned.
        source: where it came from (a file name), for the error message.
        origins: for keys, as paths, that came from elsewhere (a base, the command line): where.
        written: for keys that were written elsewhere before `data` was made (under `shared`, or
            in another format's words): that place
            (see `shared_keys`). What `data` itself shares need not be said.

    Raises:
        ConfigError: every problem on a line of its own, with file, key, value and, for an
            unknown key or a value outside a closed set, the nearest valid one.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{source}: expected a mapping of keys, got {type(data).__name__}")
    try:
        return cls.model_validate(data)
    except ValidationError as error:
        written = {
            **shared_keys(data),
            **shared_keys(data.get("architecture"), ("architecture",)),
            **(written or {}),
        }
        lines = _lines(cls, error.errors(), source, origins or {}, written)
        raise ConfigError(
            f"{source}: not a valid {cls.__name__}\n" + "\n".join(f"  {line}" for line in lines)
        ) from None


def _lines(
    cls: type[BaseModel],
    problems: Iterable[Any],
    source: str,
    origins: Mapping[KeyPath, str],
    written: Mapping[KeyPath, KeyPath],
) -> list[str]:
    """A line for each problem, and one for what both sides have from `shared`."""
    sides: dict[str, set[Any]] = {}
    for problem in problems:
        keys, message = _explain(cls, problem)
        place = written.get(keys, keys)
        origin = origins.get(keys, source)
        dotted = ".".join(str(key) for key in place) or "(top level)"
        line = f"{dotted}: {message}" + ("" if origin == source else f" [from {origin}]")
        # Where a key was moved from `shared`, its path differs in one place: the side.
        alike = len(place) == len(keys)
        moved = (
            [key for key, shown in zip(keys, place, strict=True) if key != shown] if alike else ()
        )
        sides.setdefault(line, set()).update(moved)
    return [
        f"{line} (in the {next(iter(names))})" if len(names) == 1 else line
        for line, names in sides.items()
    ]


def _explain(cls: type[BaseModel], problem: Any) -> tuple[KeyPath, str]:
    """The key that a problem is about, as a path, and what to say of it."""
    # A discriminated union puts its tag into the location; the user did not write it.
    owner, keys = _walk(cls, [part for part in problem["loc"]])
    if problem["type"] == "extra_forbidden":
        valid = sorted(owner.model_fields) if owner else []
        close = _nearest(keys[-1], valid)
        hint = f"did you mean {close!r}?" if close else f"valid keys: {', '.join(valid)}"
        return keys, f"unknown key; {hint}"
    if problem["type"] == "missing":
        return keys, "required, but missing"
    field = owner.model_fields.get(keys[-1]) if owner and keys else None
    if problem["type"] in ("union_tag_not_found", "union_tag_invalid"):
        models = _models(field.annotation) if field else []
        return _explain_tag(models, keys, problem["input"])
    value = problem.get("input")
    choices = _choices(_annotation(owner, keys))
    if problem["type"] in ("literal_error", "bool_type", "bool_parsing") and choices:
        return keys, _explain_choice(value, choices)
    error = problem.get("ctx", {}).get("error")
    if isinstance(error, Misfit):
        return (*keys, *error.keys), str(error)
    message = problem["msg"].removeprefix("Value error, ")
    return keys, message + ("" if isinstance(value, Mapping | BaseModel) else f" (got {value!r})")


def _explain_tag(
    models: list[type[BaseModel]], keys: KeyPath, value: Mapping[str, Any]
) -> tuple[KeyPath, str]:
    """What to say of a part whose `type` is missing, misspelt or unknown."""
    tags = [_tag(model) for model in models]
    if "type" in value:
        return (*keys, "type"), _explain_choice(value["type"], tags)
    known = {name for model in models for name in model.model_fields}
    unknown = [str(key) for key in value if key not in known]
    if close := _nearest("type", unknown):
        return (*keys, close), "unknown key; did you mean 'type'?"
    return (*keys, "type"), f"required, but missing; expected {_either(tags)}"


def _explain_choice(value: Any, choices: Sequence[Any]) -> str:
    """What to say of a value outside a closed set."""
    close = _nearest(value, [choice for choice in choices if isinstance(choice, str)])
    hint = f"; did you mean {close!r}?" if close else ""
    return f"expected {_either(choices)} (got {value!r}){hint}"


def _either(choices: Sequence[Any]) -> str:
    """`'a', 'b' or 'c'`, as YAML writes the values."""
    shown = [str(c).lower() if isinstance(c, bool) else repr(c) for c in choices]
    return " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _nearest(written: Any, valid: Sequence[str]) -> str | None:
    """The valid word that looks most like what was written."""
    word = str(written).lower().replace("-", "_")
    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.5)
    return close[0] if close else None


def _annotation(owner: type[BaseModel] | None, keys: KeyPath) -> Any:
    """The annotation of the field that the last name in `keys` names."""
    names = [key for key in keys if isinstance(key, str)]
    field = owner.model_fields.get(names[-1]) if owner and names else None
    return field.annotation if field else None


def _choices(annotation: Any) -> list[Any]:
    """Every value of the closed set inside an annotation; none where it is open."""
    if annotation is bool:
        return [True, False]
    if typing.get_origin(annotation) is Literal:
        return list(typing.get_args(annotation))
    return [choice for part in typing.get_args(annotation) for choice in _choices(part)]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Every configuration class inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (Union, types.UnionType, Annotated):
        return [model for arg in typing.get_args(annotation) for model in _models(arg)]
    return []


def _walk(cls: type[BaseModel], location: list[Any]) -> tuple[type[BaseModel] | None, KeyPath]:
    """The class that owns the last name of `location`, and the keys without union tags."""
    owner: type[BaseModel] | None = cls
    candidates: list[type[BaseModel]] = [cls]
    keys: list[Any] = []
    for part in location:
        tagged = [model for model in candidates if _tag(model) == part]
        if len(candidates) > 1 and tagged:
            candidates = tagged
            continue
        if isinstance(part, int):  # an element of the field before it
            keys.append(part)
            continue
        if keys and not candidates:  # the member of a union of plain values: bool | Literal
            continue
        owner = candidates[0] if candidates else None
        keys.append(part)
        field = owner.model_fields.get(part) if owner else None
        candidates = _models(field.annotation) if field else []
    return owner, tuple(keys)


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("type")
    args = typing.get_args(field.annotation) if field else ()
    return args[0] if len(args) == 1 else None
