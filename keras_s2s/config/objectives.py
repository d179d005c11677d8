"""Configuration of pre-training objectives."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from keras_s2s.config.strict import Strict


class SpanCorruptionConfig(Strict):
    """T5's pre-training task [Raffel 2020]: predict spans that were replaced by sentinels."""

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
    """BART's second pre-training task [Lewis 2020]: put shuffled sentences back in order."""


class ObjectiveConfig(Strict):
    """How a source and a target are made from one text, drawn anew in every epoch.

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
