"""Configuration of the tokenizers of both sides."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from keras_s2s.config.strict import Count, Flag, Number, Positive, Strict

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
    """The tokenizers of source and target."""

    source: TokenizerConfig
    target: TokenizerConfig | None = Field(None, description="`None`: the same as source.")
    joint: Flag = Field(False, description="One tokenizer trained on both sides' text.")
    source_eos: Flag = Field(True, description="Append EOS to every source.")

    @model_validator(mode="after")
    def _joint_is_one(self) -> TextConfig:
        if self.joint and self.target not in (None, self.source):
            raise ValueError("joint: true trains one tokenizer, so target must not differ")
        return self
