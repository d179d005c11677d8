"""Goes on with a run from its latest checkpoint, so that it ends as if it had never stopped."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import keras

from keras_s2s.data.batches import Batches
from keras_s2s.recipes.checkpoints.run_checkpoints import RunCheckpoint
from keras_s2s.recipes.progress import Progress
from keras_s2s.recipes.records.provenance import versions
from keras_s2s.recipes.records.run_folder import RunFolder
from keras_s2s.training.callbacks import SaveBest
from keras_s2s.training.training_state import (
    RestoredState,
    restore_random_state,
    restore_state,
)

logger = logging.getLogger(__name__)


def find_checkpoint(folder: RunFolder) -> RunCheckpoint | None:
    """Returns the latest checkpoint of a run, or None, and logs from where the run goes on.

    Raises:
        CheckpointError: there are checkpoints, but none can be read.
    """
    found = folder.checkpoints.latest()
    if found is None:
        logger.info("%s has no checkpoint yet: the run starts at the beginning", folder.directory)
        return None
    facts = found.facts
    if facts["is_finished"]:
        logger.info("%s: training has ended; what is left is to measure it", folder.directory)
    else:
        logger.info(
            "%s goes on from epoch %d, step %d",
            folder.directory,
            facts["epoch"] + 1,
            facts["step"],
        )
    then, now = facts["versions"], versions()
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            logger.warning(
                "the run began with %s %s, and goes on with %s: losses may differ in the last "
                "digits",
                name,
                then.get(name, "(none)"),
                now.get(name, "(none)"),
            )
    return found


def restore(
    checkpoint: RunCheckpoint, model: Any, keeper: SaveBest, folder: RunFolder
) -> list[keras.callbacks.Callback]:
    """Puts the state of a run back.

    Args:
        checkpoint: of that run.
        model: compiled as in that run.
        keeper: learns which epoch is the best so far.
        folder: of the run; what a killed process had begun to write is removed.

    Returns:
        callbacks for the `fit` that goes on.

    Raises:
        CheckpointError: the state is of another model.
    """
    callbacks = restore_training(checkpoint, model)
    keeper.best, keeper.best_epoch = checkpoint.facts["best"], checkpoint.facts["best_epoch"]
    folder.has_earlier_model = checkpoint.facts["has_earlier_model"]
    if folder.clear_interrupted_saves() and not checkpoint.facts["is_finished"]:
        # It was killed while it saved the best epoch so far, which now comes again, and has to be
        # saved then: the folder may have no whole model. (After the last epoch only a mean of
        # epochs is saved, which is again.)
        keeper.best = None
    return callbacks


def restore_training(checkpoint: RunCheckpoint, model: Any) -> list[keras.callbacks.Callback]:
    """Puts the state of a model's training back: weights, optimiser, random numbers.

    Returns:
        callbacks for the `fit` that goes on.

    Raises:
        CheckpointError: the state is of another model.
    """
    restore_state(model, checkpoint.arrays)
    restore_random_state(checkpoint.arrays)
    return [RestoredState(checkpoint.arrays, within_epoch=checkpoint.facts["step"] > 0)]


def fit_from(model: Any, batches: Batches, progress: Progress, epochs: int, **options: Any) -> None:
    """Trains from the epoch and the step at which a run stands to its end.

    `fit` of Keras begins with whole epochs, so that the rest of an epoch is a `fit` of its own.

    Args:
        model: a compiled model.
        batches: of a whole epoch.
        progress: where the run stands; one of the callbacks.
        epochs: of the run.
        **options: of `fit`.
    """
    epoch = batches.epoch = progress.first_epoch
    if progress.first_step:
        rest = batches.rest_of_epoch(progress.first_step)
        model.fit(rest, initial_epoch=epoch, epochs=epoch + 1, **options)
        epoch = batches.epoch = epoch + 1
        if model.stop_training:
            return
    if epoch < epochs:
        model.fit(batches, initial_epoch=epoch, epochs=epochs, **options)


def started_with(checkpoint: RunCheckpoint | None) -> Mapping[str, Any]:
    """Returns the facts of a checkpoint; none where a run starts at the beginning."""
    return {} if checkpoint is None else checkpoint.facts
