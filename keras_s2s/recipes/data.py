"""Reads the data of a recipe: pairs or texts of each split, and what makes pairs of texts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_s2s.config import ConfigError, DataConfig, FilesConfig, ObjectiveConfig, TaskConfig
from keras_s2s.data.checks.model_limits import ModelLimits
from keras_s2s.data.dates.splits import make_dates
from keras_s2s.data.files.lines import read_lines
from keras_s2s.data.files.pairs import read_pairs
from keras_s2s.data.files.questions import read_questions
from keras_s2s.data.objectives.objective import Objective
from keras_s2s.data.objectives.sentence_permutation import SentencePermutation
from keras_s2s.data.objectives.span_corruption import SpanCorruption
from keras_s2s.data.objectives.text_infilling import TextInfilling
from keras_s2s.recipes.mixture import mixed, with_prefix
from keras_s2s.text.preprocessor import Preprocessor

logger = logging.getLogger(__name__)

Pairs = list[tuple[str, str]]
#: A split: pairs, or texts where the recipe has an objective.
Examples = Pairs | list[str]


def load_splits(data: DataConfig, seed: int) -> dict[str, Any]:
    """Reads the training, validation and test pairs of a recipe, or its texts for an objective.

    Raises:
        ConfigError: files are named but no folder, or validation or test is missing.
        DataError: files that cannot be used.
    """
    sizes = {
        "train_size": data.train_size,
        "validation_size": data.validation_size,
        "test_size": data.test_size,
    }
    if data.task == "dates":
        given: dict[str, Any] = {name: size for name, size in sizes.items() if size is not None}
        dates = make_dates(seed=seed, **given)
        logger.info("%s", dates.report)
        return {"train": dates.train, "validation": dates.validation, "test": dates.test}
    if data.dir is None:
        raise ConfigError(
            "data.dir: no folder is named; say where the files are: --set data.dir=FOLDER"
        )
    folder = Path(data.dir)
    if not folder.is_dir():
        raise ConfigError(f"data.dir: {folder} is not a folder")
    if data.tasks is not None:
        return _load_tasks(data.tasks, folder, sizes, seed)
    named = {"train": data.train, "validation": data.validation, "test": data.test}
    splits: dict[str, Examples] = {}
    for name, files in named.items():
        if files is None:
            raise ConfigError(
                f"data.{name}: required, but missing; a recipe needs all three splits"
            )
    for name, files in named.items():
        assert files is not None
        splits[name] = _read(folder, files)[: sizes[f"{name}_size"]]
    return splits


def _read(folder: Path, files: FilesConfig) -> Any:
    """Reads the files of a split: pairs, or texts."""
    if files.lines is not None:
        return list(read_lines(folder / files.lines))
    if files.questions is not None:
        return list(read_questions(folder / files.questions, articles=files.articles))
    paths: dict[str, Any] = {key: folder / path for key, path in files.paths.items()}
    return list(read_pairs(**paths, **files.reading))


def _load_tasks(
    tasks: Mapping[str, TaskConfig], folder: Path, sizes: Mapping[str, int | None], seed: int
) -> dict[str, Any]:
    """Reads the splits of several tasks, whose sources begin with their prefixes."""
    splits: dict[str, dict[str, Pairs]] = {"train": {}, "validation": {}, "test": {}}
    for name, task in tasks.items():
        for split, files in splits.items():
            files[name] = with_prefix(_read(folder, getattr(task, split)), task.prefix)
    train = mixed(splits["train"], tasks, sizes["train_size"], seed)
    others = {
        split: [pair for own in splits[split].values() for pair in own[: sizes[f"{split}_size"]]]
        for split in ("validation", "test")
    }
    return {"train": train, **others}


def check_sources(
    pairs: Pairs, preprocessor: Preprocessor, limits: ModelLimits, where: str
) -> None:
    """Raises an error for sources that the model could not generate from after the training."""
    if limits.source_positions is None:
        return
    lengths = [len(row) for row in preprocessor.encode_source([source for source, _ in pairs])]
    remedy = (
        "Shorten them, choose data.overlong=truncate, or give the model more positions "
        "(architecture.shared.embedding.max_positions)"
    )
    limits.check_lengths("source", lengths, where, remedy)


def make_objective(config: ObjectiveConfig | None) -> list[Objective] | None:
    """Returns the objectives of a recipe in the order in which they are applied."""
    if config is None:
        return None
    rules: list[Objective] = []
    if config.sentence_permutation is not None:
        rules.append(SentencePermutation())
    if config.span_corruption is not None:
        rules.append(SpanCorruption(**config.span_corruption.model_dump()))
    if config.text_infilling is not None:
        rules.append(TextInfilling(**config.text_infilling.model_dump()))
    return rules
