"""The data of a run as batches, and their check against the model."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from keras_s2s.config import GENERATION_MONITORS, RecipeConfig
from keras_s2s.data.batches import Batches
from keras_s2s.data.checks.model_limits import ModelLimits
from keras_s2s.data.examples.sampled_pairs import check_sampling
from keras_s2s.recipes.data import check_sources, make_objective
from keras_s2s.text.preprocessor import Preprocessor

logger = logging.getLogger(__name__)


@dataclass
class RunData:
    """The data of a run.

    Attributes:
        splits: pairs, or texts for an objective, by the names of the splits.
        preprocessor: text <-> ids.
        train, validation: batches of these splits.
        options: of all batches.
        test: batches of the test split, for an objective; None where texts are generated instead.
        generating: options of `generate` for the sources of this data.
    """

    splits: dict[str, Any]
    preprocessor: Preprocessor
    train: Batches
    validation: Batches
    options: dict[str, Any]
    test: Batches | None = None
    generating: dict[str, Any] = field(default_factory=dict)


def make_batches(
    recipe: RecipeConfig, splits: dict[str, Any], preprocessor: Preprocessor
) -> RunData:
    """Makes batches of the training and validation splits.

    Raises:
        DataError: a pair cannot be used, or none is left.
        ConfigError: a tokenizer cannot draw as `training.subword_sampling` says.
    """
    training = recipe.training
    options: dict[str, Any] = {
        "objective": make_objective(recipe.data.objective),
        "seed": training.seed,
        "batch_size": training.batch_size,
        "batch_unit": training.batch_unit,
        "max_source_length": recipe.data.max_source_length,
        "max_target_length": recipe.data.max_target_length,
        "overlong": recipe.data.overlong,
        "row_multiple": training.data_parallel,
    }
    if training.subword_sampling is not None:
        where = "training.subword_sampling"
        check_sampling(training.subword_sampling, preprocessor, where=where)
    train = Batches(
        splits["train"],
        preprocessor,
        num_buckets=training.num_buckets,
        subword_sampling=training.subword_sampling,
        **options,
    )
    logger.info("%s", train.describe())
    validation = Batches(
        splits["validation"],
        preprocessor,
        num_buckets=min(2, training.num_buckets),
        shuffle=False,
        **options,
    )
    return RunData(splits, preprocessor, train, validation, options)


def check_limits(recipe: RecipeConfig, model: Any, data: RunData) -> None:
    """Checks now, and not after hours of training, that the model can take every split.

    For an objective it makes the batches of the test split; otherwise it notes how sources that are
    too long are generated for.

    Raises:
        DataError: ids outside the model's vocabulary, or rows longer than its positions.
    """
    splits, preprocessor = data.splits, data.preprocessor
    limits = ModelLimits.of(model.preset.architecture, model.network.frontend)
    data.train.check_limits(limits, "data.train")
    data.validation.check_limits(limits, "data.validation")
    if recipe.data.objective is not None:
        data.test = Batches(
            splits["test"], preprocessor, num_buckets=2, shuffle=False, **data.options
        )
        data.test.check_limits(limits, "data.test")
    elif recipe.data.overlong == "truncate":
        data.generating["overlong"] = "truncate"
    else:
        generates = recipe.training.monitor in GENERATION_MONITORS
        for name in ["test", *(["validation"] if generates else [])]:
            check_sources(splits[name], preprocessor, limits, f"data.{name}")
