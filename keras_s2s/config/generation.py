"""Defaults of the generation options of a model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from keras_s2s.config.strict import LARGEST, Beams, Count, Flag, Number, Positive, Strict


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
