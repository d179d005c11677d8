"""Configuration of subword sampling: segmentations of training texts that are drawn anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from keras_s2s.config.errors import Misfit
from keras_s2s.config.strict import Number, Strict


class SamplingConfig(Strict):
    """How the segmentation of a text is drawn: by a unigram model, or by BPE dropout.

    Example:
        >>> SamplingConfig(alpha=0.1)  # a unigram model [Kudo 2018]
        >>> SamplingConfig(dropout=0.1)  # a BPE model [Provilkov 2020]
    """

    alpha: Annotated[Number, Field(gt=0)] | None = Field(
        None,
        description="Of unigram models: probabilities of segmentations to this power, so that 1 "
        "draws by the model, and less draws more evenly.",
    )
    nbest_size: Annotated[int, Field(ge=-1, le=10_000, strict=True)] = Field(
        -1, description="With alpha: draw among so many likeliest segmentations; -1: among all."
    )
    dropout: Annotated[Number, Field(gt=0, le=1)] | None = Field(
        None, description="Of BPE models: probability that a merge is left out, each time."
    )

    @model_validator(mode="after")
    def _one_way(self) -> SamplingConfig:
        if (self.alpha is None) == (self.dropout is None):
            raise ValueError(
                "give either alpha, for a unigram tokenizer, or dropout, for a BPE tokenizer"
            )
        if self.nbest_size in (0, 1):
            raise Misfit(("nbest_size",), "leaves nothing to draw from; set 2 or more, or -1")
        if self.dropout is not None and self.nbest_size != -1:
            raise Misfit(("nbest_size",), "belongs to alpha; dropout has no list of segmentations")
        return self

    @property
    def method(self) -> Literal["alpha", "dropout"]:
        """The key that is set: a tokenizer has one of the two methods, or none."""
        return "dropout" if self.alpha is None else "alpha"


class SubwordSamplingConfig(Strict):
    """Which sides of training pairs are segmented anew in every epoch, and how.

    Example:
        >>> SubwordSamplingConfig.model_validate({"alpha": 0.1})  # both sides
        >>> SubwordSamplingConfig.model_validate({"source": {"dropout": 0.1}})
    """

    source: SamplingConfig | None = None
    target: SamplingConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _both_sides(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data and set(data) <= set(SamplingConfig.model_fields):
            return {"source": dict(data), "target": dict(data)}
        return data

    @model_validator(mode="after")
    def _a_side(self) -> SubwordSamplingConfig:
        if self.source is None and self.target is None:
            raise ValueError(
                "name a side and a method, source: {alpha: 0.1} or target: {dropout: 0.1}, or a "
                "method for both"
            )
        return self
