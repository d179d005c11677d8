"""The callbacks of a run: what measures, saves, logs and stops it, in the order in which they act.

Order matters: generation metrics come before what saves the best epoch by them, a moving average of
the weights stands in for the weights in between, and checkpoints are written last.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_s2s.config import GENERATION_MONITORS, RecipeConfig
from keras_s2s.recipes.checkpoints.averaging import LastEpochs
from keras_s2s.recipes.checkpoints.checkpointing import Checkpointing
from keras_s2s.recipes.processes import together
from keras_s2s.recipes.progress import Progress
from keras_s2s.recipes.records.metrics_log import MetricsLog
from keras_s2s.recipes.records.provenance import versions
from keras_s2s.recipes.records.run_folder import RunFolder
from keras_s2s.recipes.records.tensorboard import tensorboard_callbacks
from keras_s2s.training.callbacks import (
    GenerationMetrics,
    Patience,
    ProgressBar,
    SaveBest,
    TimeLimit,
)
from keras_s2s.training.optimizers.moving_average import AverageIn


@dataclass
class RunCallbacks:
    """The callbacks of a run, and those of them that are asked for something after it.

    Attributes:
        every: all of them, in their order.
        keeper: saves the best epoch.
        last_epochs: keeps the weights of the last epochs; None where no mean of them is asked for.
        checkpointing: writes checkpoints.
    """

    every: list[Any]
    keeper: SaveBest
    last_epochs: LastEpochs | None
    checkpointing: Checkpointing


def run_callbacks(
    recipe: RecipeConfig,
    model: Any,
    folder: RunFolder,
    progress: Progress,
    keeper: SaveBest,
    *,
    restored: Sequence[Any],
    validation: Any,
    generating: Mapping[str, Any],
    then: Mapping[str, Any],
    facts: Mapping[str, Any],
    steps: int,
    epochs: int,
) -> RunCallbacks:
    """Makes the callbacks of a run.

    Args:
        recipe: the recipe.
        model: a compiled model.
        folder: of the run.
        progress: counts its epochs and steps.
        keeper: saves the best epoch.
        restored: callbacks of a run that goes on; they come first.
        validation: pairs that are generated for.
        generating: options of `generate`.
        then: facts of the checkpoint that the run goes on from; empty at the beginning.
        facts: about this run, for its checkpoints.
        steps: of an epoch.
        epochs: of the run.
    """
    training = recipe.training
    callbacks: list[Any] = [*restored]
    moving = None if training.ema is None else AverageIn()
    if moving is not None:
        callbacks.append(moving)  # for all that follows, up to `moving.out`
    metrics = _generation_metrics(recipe, validation, generating)
    if metrics is not None:
        callbacks.append(metrics)
    board: list[Any] = []
    if training.tensorboard is not None:
        shown, board = tensorboard_callbacks(
            training.tensorboard, model, validation, folder.directory, **generating
        )
        callbacks += shown
    bar = ProgressBar(
        epochs,
        first_epoch=progress.first_epoch,
        first_step=progress.first_step,
        seconds=progress.training_seconds,
    )
    callbacks.append(keeper)
    last_epochs = None
    if training.average is not None:
        directory_of_epochs = folder.checkpoints.directory / "epochs"
        last_epochs = LastEpochs(directory_of_epochs, training.average.last_checkpoints)
        callbacks.append(last_epochs)
    if moving is not None:
        callbacks.append(moving.out)
    log = MetricsLog(
        folder,
        progress,
        every=training.log_steps,
        steps=steps,
        size=then.get("metrics_size", 0),
        waiting=then.get("metrics_waiting"),
        signatures=lambda: {} if metrics is None else metrics.logged_signatures,
    )
    callbacks += [progress, log, bar, *board]
    if training.patience is not None:
        callbacks.append(Patience(keeper, training.patience))
    if training.max_minutes is not None:
        started = time.monotonic() - progress.training_seconds
        callbacks.append(TimeLimit(training.max_minutes, started))
    checkpointing = Checkpointing(
        folder.checkpoints,
        training.checkpoints,
        progress,
        lambda: {
            **facts,
            "versions": versions(),
            "best": keeper.best,
            "best_epoch": keeper.best_epoch,
            "has_earlier_model": folder.has_earlier_model,
            **log.facts(),
        },
        steps=steps,
        epochs=epochs,
    )
    callbacks += [checkpointing, *together()]
    return RunCallbacks(callbacks, keeper, last_epochs, checkpointing)


def _generation_metrics(
    recipe: RecipeConfig, validation: Any, generating: Mapping[str, Any]
) -> GenerationMetrics | None:
    """Returns what measures generated texts after each epoch, where the monitor is one of these."""
    if recipe.training.monitor not in GENERATION_MONITORS:
        return None
    metric = GENERATION_MONITORS[recipe.training.monitor]
    return GenerationMetrics(
        validation,
        [metric],
        tgt_lang=recipe.evaluation.tgt_lang,
        bleu_tokenize=recipe.evaluation.bleu_tokenize if metric == "bleu" else None,
        **generating,
    )
