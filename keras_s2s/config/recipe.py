"""Configuration of recipes: data, model, training and evaluation of a training run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from keras_s2s.config.distillation import DistillationConfig
from keras_s2s.config.errors import Misfit
from keras_s2s.config.generation import GenerationConfig
from keras_s2s.config.objectives import ObjectiveConfig
from keras_s2s.config.strict import Count, Flag, Number, Positive, Strict
from keras_s2s.config.text import TextConfig
from keras_s2s.config.training import GENERATION_MONITORS, TrainingConfig


class FilesConfig(Strict):
    """The files of a split: two line-aligned files, or one of pairs, of single texts or questions.

    Example:
        >>> FilesConfig(source="train.en.gz", target="train.de.gz")
        >>> FilesConfig(pairs="fra.txt", columns=(0, 1))
        >>> FilesConfig(pairs="train.jsonl", source_key="en", target_key="de")
        >>> FilesConfig(lines="corpus.txt.gz")
        >>> FilesConfig(questions="KorQuAD_v1.0_dev.json.gz", articles=(0, 70))
    """

    source: str | None = None
    target: str | None = None
    pairs: str | None = Field(
        None, description="One TSV, CSV, JSON-lines or JSON file instead of two files."
    )
    lines: str | None = Field(None, description="One file of texts, one a line, for an objective.")
    questions: str | None = Field(
        None, description="One JSON file of questions about texts: SQuAD 1.1, KorQuAD 1.0."
    )
    articles: tuple[Count, Count] | None = Field(
        None, description="Of a file of questions: the first article, and the one after the last."
    )
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
        ways = (two, *(way is not None for way in (self.pairs, self.lines, self.questions)))
        if sum(ways) != 1 or (self.source is None) != (self.target is None):
            raise ValueError("give either source and target, or pairs, or lines, or questions")
        options = self.reading
        for name in ("lines", "questions"):
            if getattr(self, name) is not None and options:
                raise ValueError(f"{', '.join(options)}: for a file of pairs, not for {name}")
        if self.articles is not None and self.questions is None:
            raise ValueError("articles: for a file of questions")
        if two and options:
            raise ValueError(f"{', '.join(options)}: for a file of pairs, not for two files")
        if "columns" in options and ("source_key" in options or "target_key" in options):
            raise ValueError("columns is for a TSV file, source_key and target_key for JSON lines")
        return self

    @property
    def paths(self) -> dict[str, str]:
        """Paths of the files, by the names of `data.read_pairs`' arguments."""
        given = {"source": self.source, "target": self.target, "pairs": self.pairs}
        return {name: path for name, path in given.items() if path is not None}

    @property
    def reading(self) -> dict[str, Any]:
        """The other arguments of `data.read_pairs` that are set."""
        names = ("format", "columns", "quotes", "source_key", "target_key")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


#: Metrics of generated texts.
MetricName = Literal["bleu", "chrf", "rouge", "exact_match", "korquad", "squad"]


class TaskConfig(Strict):
    """One of several tasks that a model learns together, told apart by a prefix [Raffel 2020].

    Example:
        >>> TaskConfig(
        ...     prefix="summarize: ",
        ...     share=0.25,
        ...     train=FilesConfig(pairs="train.jsonl"),
        ...     validation=FilesConfig(pairs="val.jsonl"),
        ...     test=FilesConfig(pairs="test.jsonl"),
        ... )
    """

    prefix: Annotated[str, Field(min_length=1)] = Field(
        description="What each source of the task begins with, the space after it included."
    )
    share: Annotated[Number, Field(gt=0)] | None = Field(
        None,
        description="Of the training pairs, relative to the shares of the other tasks; where no "
        "task has one, each has that of its size.",
    )
    train: FilesConfig
    validation: FilesConfig
    test: FilesConfig
    metrics: tuple[MetricName, ...] | None = Field(
        None, description="Measured on its test split; `None`: those of evaluation."
    )

    @model_validator(mode="after")
    def _has_pairs(self) -> TaskConfig:
        for name in ("train", "validation", "test"):
            if getattr(self, name).lines is not None:
                raise Misfit((name,), "lines are single texts, and a task needs pairs")
        return self


class DataConfig(Strict):
    """Where the text pairs of a recipe come from."""

    task: Literal["dates"] | None = Field(
        None, description="Name of a task whose pairs are generated at run time."
    )
    dir: str | None = Field(None, description="Folder of the files; --set data.dir=FOLDER.")
    tasks: dict[str, TaskConfig] | None = Field(
        None, description="Several data sets with prefixes, instead of the files of one."
    )
    objective: ObjectiveConfig | None = Field(
        None, description="Pre-training: makes sources and targets of single texts (lines)."
    )
    train: FilesConfig | None = None
    validation: FilesConfig | None = None
    test: FilesConfig | None = None
    train_size: Positive | None = Field(None, description="Use this many training pairs.")
    validation_size: Positive | None = Field(None, description="Of several tasks, of each.")
    test_size: Positive | None = Field(None, description="Of several tasks, of each.")
    max_source_length: Positive | None = Field(None, description="In ids, EOS included.")
    max_target_length: Positive | None = Field(None, description="In ids, EOS included.")
    overlong: Literal["drop", "truncate", "error"] = "drop"

    @model_validator(mode="before")
    @classmethod
    def _former_name(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "generator" in data and "task" not in data:
            warnings.warn(
                "data.generator is now data.task; the old name works for one release more",
                FutureWarning,
                stacklevel=2,
            )
            return {"task" if key == "generator" else key: data[key] for key in data}
        return data

    @model_validator(mode="after")
    def _generated_or_files(self) -> DataConfig:
        ways = (self.task, self.train, self.tasks)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("data needs either a task or train files, or tasks with files")
        if self.tasks is not None:
            self._check_tasks(self.tasks)
        if self.objective is not None and self.task is not None:
            raise Misfit(("objective",), f"works on lines, not on the pairs of task: {self.task}")
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

    def _check_tasks(self, tasks: Mapping[str, TaskConfig]) -> None:
        if self.objective is not None:
            raise Misfit(("objective",), "works on lines, and tasks have pairs")
        for name in ("validation", "test"):
            if getattr(self, name) is not None:
                raise Misfit((name,), "each of tasks has its own")
        if not tasks:
            raise Misfit(("tasks",), "is empty; name a task, or give train files")
        if len({task.share is None for task in tasks.values()}) > 1:
            raise Misfit(("tasks",), "give each task a share, or none of them")
        for name, task in tasks.items():
            others = [other for other in tasks if other != name]
            for other in others:
                if tasks[other].prefix.startswith(task.prefix):
                    raise Misfit(
                        ("tasks", other, "prefix"),
                        f"{tasks[other].prefix!r} begins with that of {name}, {task.prefix!r}, so "
                        "that a source would not tell its task",
                    )


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
    """Metrics that are measured on the test split after training.

    Example:
        >>> EvaluationConfig(metrics=("bleu",), tgt_lang="ja", bleu_tokenize="char")
    """

    metrics: tuple[MetricName, ...] = ("bleu", "chrf")
    tgt_lang: str | None = Field(
        None,
        description="Language of the targets, whose words BLEU and ROUGE compare; `None`: what "
        "the model says, or else the script of the targets.",
    )
    bleu_tokenize: BleuTokenizer | None = Field(
        None, description="One of sacreBLEU's tokenizers, instead of the language's."
    )
    exposure_bias: Flag = Field(
        False,
        description="Also measure loss and token accuracy under teacher forcing beside those after "
        "the model's own outputs.",
    )
    samples: Count = Field(5, description="Test examples printed in full.")


class WarmStartConfig(Strict):
    """A pretrained encoder and a pretrained decoder that a run begins with [Rothe 2020]."""

    encoder: str = Field(description="As `Seq2SeqLM.from_encoder_decoder` takes it.")
    decoder: str = Field(description="As `Seq2SeqLM.from_encoder_decoder` takes it.")
    tie_encoder_decoder: Flag = Field(
        False, description="The decoder has the encoder's weights, but for its cross-attention."
    )
    load_weights: Flag = Field(True, description="False: the same network from random weights.")

    def __str__(self) -> str:
        return f"{self.encoder} to {self.decoder}"


class RecipeConfig(Strict):
    """A training run, from text pairs to a preset folder."""

    description: str
    model: str | None = Field(
        None,
        description="Zoo entry the network starts from at random, where `text` trains tokenizers; "
        "else a checkpoint with its own: whatever `Seq2SeqLM.from_preset` takes by name.",
    )
    warm_start: WarmStartConfig | None = Field(
        None, description="A pretrained encoder and decoder that it starts from instead."
    )
    architecture: dict[str, Any] = Field(
        default_factory=dict, description="Differences from the zoo entry's architecture."
    )
    text: TextConfig | None = Field(
        None, description="Tokenizers to train; a checkpoint has its own."
    )
    src_lang: str | None = Field(
        None, description="Language of the sources, for a multilingual checkpoint."
    )
    tgt_lang: str | None = Field(
        None, description="Language of the targets, for a multilingual checkpoint."
    )
    data: DataConfig
    distillation: DistillationConfig | None = Field(
        None, description="Train on what a teacher generates from the training sources."
    )
    training: TrainingConfig
    generation: GenerationConfig = GenerationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @property
    def start(self) -> str:
        """What the network starts from, for messages."""
        return str(self.warm_start or self.model)

    @property
    def is_tuned(self) -> bool:
        """Whether the run begins with the weights and the tokenizer of one checkpoint."""
        return self.model is not None and self.text is None and not self.has_teacher_tokenizer

    @property
    def has_teacher_tokenizer(self) -> bool:
        """Whether the tokenizer is that of the teacher of a distillation."""
        return self.distillation is not None and self.distillation.teacher_tokenizer

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics that compare generated texts with targets, `training.monitor` included."""
        watched = GENERATION_MONITORS.get(self.training.monitor)
        of_tasks = [name for t in (self.data.tasks or {}).values() for name in t.metrics or ()]
        names = (*self.evaluation.metrics, *of_tasks, *((watched,) if watched else ()))
        return tuple(dict.fromkeys(names))

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
    def _text_fits_the_model(self) -> RecipeConfig:
        warm = self.warm_start is not None
        if warm == (self.model is not None):
            raise Misfit(
                ("model",),
                "goes without warm_start, which names an encoder and a decoder"
                if warm
                else "required, but missing (or warm_start, with an encoder and a decoder)",
            )
        if warm and self.text is not None:
            raise Misfit(
                ("text",),
                "is for tokenizers that are trained; an encoder and a decoder have theirs",
            )
        if warm and self.architecture:
            raise Misfit(
                ("architecture",), "changes a zoo entry; that of an encoder and a decoder is given"
            )
        if self.is_tuned and self.architecture:
            raise Misfit(
                ("architecture",),
                "changes a network that starts at random; give text, too, or leave it out",
            )
        for name in ("src_lang", "tgt_lang"):
            if getattr(self, name) is None:
                continue
            if self.text is not None:
                raise Misfit(
                    (name,),
                    "is for a multilingual checkpoint; tokenizers that are trained here know no "
                    "languages",
                )
            if self.has_teacher_tokenizer:
                raise Misfit((name,), f"is the teacher's here; set distillation.{name}")
        return self

    @model_validator(mode="after")
    def _distillation_fits(self) -> RecipeConfig:
        if self.distillation is not None and self.data.objective is not None:
            raise Misfit(
                ("distillation",),
                "is for pairs of texts; data.objective makes pairs of single ones",
            )
        if self.has_teacher_tokenizer and (self.text is not None or self.warm_start is not None):
            raise Misfit(
                ("distillation", "teacher_tokenizer"),
                "goes without text" if self.text is not None else "goes without warm_start",
            )
        return self

    @model_validator(mode="after")
    def _objective_fits(self) -> RecipeConfig:
        objective = self.data.objective
        if objective is None:
            return self
        if self.training.subword_sampling is not None:
            raise Misfit(
                ("training", "subword_sampling"),
                "is for pairs of texts; data.objective draws from ids, anew in every epoch, too",
            )
        board = self.training.tensorboard
        if board is not None and (board.texts or board.attention):
            raise Misfit(
                ("training", "tensorboard"),
                "texts and attention are of pairs of texts, which an objective does not have; set "
                "{texts: 0, attention: 0}",
            )
        if self.text is None:
            raise Misfit(("data", "objective"), "needs tokenizers of its own; name a zoo entry")
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
                "with an objective, loss, perplexity and token accuracy are measured, not "
                "generated texts; set metrics: []",
            )
        if self.training.monitor in GENERATION_MONITORS:
            raise Misfit(
                ("training", "monitor"),
                f"{self.training.monitor} compares generated texts, which an objective does not "
                "have; use val_loss",
            )
        return self
