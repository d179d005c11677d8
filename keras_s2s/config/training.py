"""Configuration of training: optimiser, batches, epochs, precision, and which epoch is kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from keras_s2s.config.errors import Misfit
from keras_s2s.config.strict import Count, Flag, Number, Positive, Rate, Strict
from keras_s2s.config.subword_sampling import SubwordSamplingConfig
from keras_s2s.config.teacher_forcing import TeacherForcingConfig


class OptimizerConfig(Strict):
    """A Keras optimiser and its learning-rate schedule."""

    name: Literal["adam", "adamw", "adafactor", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    learning_rates: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict,
        description="Learning rates of groups of weights: a part of the network, or a pattern of "
        "paths, and its rate, which the schedule scales alike. Of several names that mean a weight "
        "the last one holds. clip_norm is then of each group.",
    )
    beta_1: Rate = Field(0.9, description="Of adam and adamw.")
    beta_2: Annotated[float, Field(gt=0, lt=1)] = Field(0.999, description="Of adam and adamw.")
    epsilon: Annotated[float, Field(gt=0)] = Field(1e-7, description="Of adam and adamw.")
    beta_2_decay: Annotated[Number, Field(lt=0)] = Field(
        -0.8, description="Of adafactor [Shazeer 2018]: the exponent of its decay rate."
    )
    clip_threshold: Annotated[Number, Field(gt=0)] = Field(
        1.0, description="Of adafactor: the largest root mean square of an update."
    )
    relative_step: Flag = Field(
        True, description="Of adafactor: steps are at most step^-0.5, and learning_rate."
    )
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    schedule: Literal["constant", "cosine", "inverse_sqrt"] = Field(
        "constant", description="After the warm-up: constant, half a cosine, or step^-0.5."
    )
    warmup_steps: Count = 0

    @model_validator(mode="after")
    def _keys_of_the_optimiser(self) -> OptimizerConfig:
        for key, users in _OPTIMIZERS_OF_KEYS.items():
            is_set = getattr(self, key) != type(self).model_fields[key].default
            if is_set and self.name not in users:
                raise Misfit((key,), f"is for {' and '.join(users)}, and {self.name} has none")
        return self


#: Key -> the optimisers that have it.
_OPTIMIZERS_OF_KEYS = {
    "beta_1": ("adam", "adamw"),
    "beta_2": ("adam", "adamw"),
    "epsilon": ("adam", "adamw"),
    "beta_2_decay": ("adafactor",),
    "clip_threshold": ("adafactor",),
    "relative_step": ("adafactor",),
}


#: Values to watch that compare generated texts with targets, and the metric each belongs to.
GENERATION_MONITORS: dict[str, str] = {
    "val_bleu": "bleu",
    "val_chrf": "chrf",
    "val_rouge1": "rouge",
    "val_rouge2": "rouge",
    "val_rougeL": "rouge",
    "val_exact_match": "exact_match",
    "val_korquad_exact_match": "korquad",
    "val_korquad_f1": "korquad",
    "val_squad_exact_match": "squad",
    "val_squad_f1": "squad",
}


class CheckpointsConfig(Strict):
    """When a run writes what `--resume` goes on from: at the end of each epoch, and within one.

    Example:
        >>> CheckpointsConfig(steps=1000)
    """

    steps: Positive | None = Field(None, description="Also after every so many steps of the run.")
    minutes: Annotated[Number, Field(gt=0)] | None = Field(
        10.0, description="Also where so much time has passed since the last one."
    )
    keep: Positive = Field(2, description="The latest are kept.")


class AverageConfig(Strict):
    """Which weights are averaged at the end of a run [Vaswani 2017, section 6.1].

    Example:
        >>> AverageConfig(last_checkpoints=10)
    """

    last_checkpoints: Positive = Field(description="The last epochs, so many.")


class TensorBoardConfig(Strict):
    """What a run writes for TensorBoard, into `tensorboard/` of its folder, beside its values.

    Example:
        >>> TensorBoardConfig(texts=10, attention=0)
    """

    texts: Count = Field(5, description="Validation pairs in a table with what is generated.")
    attention: Count = Field(2, description="Validation sources whose attention is drawn.")
    every: Positive = Field(1, description="Generate after each so many epochs.")


class LoraConfig(Strict):
    """LoRA adapters [Hu 2021] that a run trains, in place of the weights themselves.

    Example:
        >>> LoraConfig(rank=4, alpha=8, targets=("query", "value"))
    """

    rank: Positive = Field(description="Columns of the first matrix of an adapter.")
    alpha: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="An adapter is multiplied by alpha / rank; `None`: the rank."
    )
    targets: tuple[str, ...] = Field(
        ("query", "value"),
        description="Projections of every attention, or patterns of the paths of dense layers.",
    )
    train: tuple[str, ...] = Field(
        (),
        description="Other weights that are trained as well, by the names of `freeze`; `new`, say, "
        "which a pretrained encoder and decoder lacked.",
    )

    @field_validator("targets", "train", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class TrainingConfig(Strict):
    """How a recipe trains: optimiser, batches, epochs, precision, and which epoch is kept."""

    epochs: Positive
    batch_size: Positive = 64
    batch_unit: Literal["sentences", "tokens"] = "sentences"
    num_buckets: Positive = 6
    optimizer: OptimizerConfig = OptimizerConfig()
    label_smoothing: Rate = 0.0
    r_drop: Annotated[Number, Field(ge=0)] = 0.0
    freeze: tuple[str, ...] = Field(
        (),
        description="Parts of the network, or patterns of the paths of weights, that are not "
        "trained; the names of `Seq2SeqLM.freeze`.",
    )
    lora: LoraConfig | None = Field(
        None, description="Train LoRA adapters, which are saved with the preset; all else is fixed."
    )
    gradient_checkpointing: Flag = Field(
        False,
        description="Compute the inner values of Transformer blocks again in the backward pass: "
        "less memory, more time, equal results.",
    )
    teacher_forcing: TeacherForcingConfig = Field(
        TeacherForcingConfig(),
        description="What the decoder reads in training: `true` ids, its own outputs (`false`), or "
        "both by a schedule.",
    )
    subword_sampling: SubwordSamplingConfig | None = Field(
        None,
        description="Segment training texts anew in every epoch: `{alpha: 0.1}` for a unigram "
        "tokenizer, `{dropout: 0.1}` for a BPE tokenizer; under `source` or `target` for one side.",
    )
    data_parallel: Positive = Field(
        1,
        description="Devices, or on PyTorch processes of torchrun, that divide each batch; results "
        "are those of one device, up to rounding.",
    )
    seed: Count = 0
    dtype: str | None = Field(None, description="A Keras dtype policy, e.g. mixed_bfloat16.")
    max_steps: Positive | None = Field(
        None,
        description="At most so many steps of the optimiser: the run has as many whole epochs as "
        "fit into them (at least one), if `epochs` is not less.",
    )
    max_minutes: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="Stop after the epoch in which this time is reached, over all pieces of a run.",
    )
    checkpoints: CheckpointsConfig = CheckpointsConfig()
    log_steps: Positive = Field(
        100, description="Steps between two lines of metrics.jsonl within an epoch."
    )
    tensorboard: TensorBoardConfig | None = Field(
        None,
        description="Write values, sample texts and attention pictures for TensorBoard; {} for the "
        "defaults.",
    )
    patience: Positive | None = Field(
        None, description="Stop after so many epochs that were not better by `monitor`."
    )
    ema: Annotated[Number, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Momentum, by steps of the optimiser, of an exponential moving average of the "
        "weights, which is validated and saved.",
    )
    average: AverageConfig | None = Field(
        None, description="Save the mean of the weights of several epochs at the end."
    )
    accumulate: Positive = Field(
        1,
        description="Batches that a step of the optimiser is over, as if they were one: each "
        "token counts the same.",
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
        "val_korquad_exact_match",
        "val_korquad_f1",
        "val_squad_exact_match",
        "val_squad_f1",
        "loss",
    ] = Field("val_loss", description="The best epoch by this value is kept.")

    @field_validator("freeze", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _lora_freezes(self) -> TrainingConfig:
        if self.lora is not None and self.freeze:
            raise Misfit(
                ("freeze",),
                "goes without lora, which fixes everything but the adapters; what is trained "
                "beside them stands in lora.train",
            )
        return self
