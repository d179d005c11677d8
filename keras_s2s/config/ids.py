"""Configuration of special ids (decoder start, BOS, EOS, PAD, forced ids) and language codes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from keras_s2s.config.errors import Misfit
from keras_s2s.config.nearest import did_you_mean
from keras_s2s.config.strict import Strict, TokenId


class SourceIds(Strict):
    """Special ids of the encoder's side."""

    pad: TokenId = Field(description="Fills a batch's rows up to the same length.")
    eos: TokenId | None = Field(None, description="Appended to every source, if set.")
    bos: TokenId | None = Field(None, description="Put before every source, if set.")
    unk: TokenId | None = Field(None, description="Represents text outside the vocabulary.")


class TargetIds(Strict):
    """Special ids of the decoder's side."""

    decoder_start: TokenId = Field(description="The decoder's first input; never a label.")
    eos: TokenId = Field(description="Ends every target; the last label.")
    pad: TokenId = Field(description="Fills a batch's rows up to the same length.")
    bos: TokenId | None = Field(None, description="Put before every target as a label, if set.")
    unk: TokenId | None = Field(None, description="Represents text outside the vocabulary.")
    forced_bos: TokenId | None = Field(None, description="First generated id.")
    forced_eos: TokenId | None = Field(
        None, description="Last id when the maximum length is reached."
    )


class LanguagesConfig(Strict):
    """Languages of a multilingual model, and where sources and targets name theirs.

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
                hint = did_you_mean(code, self.codes) or "add it there, or leave it out"
                raise Misfit((name,), f"{code!r} is not one of codes; {hint}")
        return self


class SpecialIds(Strict):
    """Special ids of a model, the only place where they are written down.

    Tokenizers are checked against them; batches, masks and samplers read them. A model without a
    tokenizer has them as well.
    """

    source: SourceIds
    target: TargetIds
    languages: LanguagesConfig | None = Field(None, description="Of a multilingual model.")
