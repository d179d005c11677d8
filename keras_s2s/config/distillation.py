"""Configuration of distillation: whose outputs a recipe trains on."""

from __future__ import annotations

from pydantic import Field, field_validator

from keras_s2s.config.generation import GenerationConfig
from keras_s2s.config.strict import Flag, Positive, Strict


class DistillationConfig(Strict):
    """Sequence-level distillation: targets are what a teacher generates [Kim and Rush 2016].

    Example:
        >>> DistillationConfig(teacher="runs/large", generation=GenerationConfig(num_beams=5))
    """

    teacher: str = Field(
        description="The model whose outputs are the targets: whatever `Seq2SeqLM.from_preset` "
        "takes by name, with its own tokenizer."
    )
    generation: GenerationConfig = Field(
        GenerationConfig(),
        description="Options of the teacher's search; those left out are the teacher's own.",
    )
    batch_size: Positive = Field(32, description="Sources that the teacher reads at a time.")
    src_lang: str | None = Field(
        None, description="Language of the sources, for a multilingual teacher."
    )
    tgt_lang: str | None = Field(
        None, description="Language of the targets, for a multilingual teacher."
    )
    dtype: str = Field("float32", description="The teacher's Keras dtype policy.")
    teacher_tokenizer: Flag = Field(
        False,
        description="The student has the teacher's tokenizer, in the place of `text`, and begins "
        "at random as a zoo entry.",
    )
    with_references: Flag = Field(
        False, description="Train on the true targets, too: each source has both."
    )
    pairs: str | None = Field(
        None,
        description="JSON-lines file of what the teacher generates, which several runs may share; "
        "`None`: distilled.jsonl in the run's folder.",
    )

    @field_validator("pairs")
    @classmethod
    def _json_lines(cls, value: str | None) -> str | None:
        if value is not None and not value.endswith(".jsonl"):
            raise ValueError(f"{value!r} is a file of JSON lines; give it a name in .jsonl")
        return value
