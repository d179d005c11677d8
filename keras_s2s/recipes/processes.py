"""Runs of several processes on PyTorch: one leads, the others train along.

The leader alone writes the run's folder, prints, validates and measures; the others take their
share of each batch, and end when it does. All of them read the recipe's data and the folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from keras_s2s.config import ConfigError, RecipeConfig
from keras_s2s.data.batches import Batches
from keras_s2s.recipes.checkpoints.resuming import fit_from, restore_training
from keras_s2s.recipes.checkpoints.run_checkpoints import RunCheckpoint
from keras_s2s.recipes.progress import Progress
from keras_s2s.recipes.records.run_folder import RunFolder


def follows(recipe: RecipeConfig) -> bool:
    """Returns whether this process trains along with another one, which leads.

    `torchrun` numbers its processes in the variable RANK.
    """
    if recipe.training.data_parallel == 1 or keras.backend.backend() != "torch":
        return False
    return os.environ.get("RANK", "0") != "0"


class FollowedFolder(RunFolder):
    """The folder of a run that another process writes; nothing is written here."""

    def __init__(self, directory: Path, *, overwrite: bool, resume: bool, keep: int) -> None:
        self._read(directory, keep)

    def leave(self) -> None:
        """Leaves all folders to the leader."""


@contextlib.contextmanager
def leader_first(recipe: RecipeConfig) -> Iterator[None]:
    """Makes the others enter the block when the leader has left it."""
    if follows(recipe):
        _wait()
        yield
        return
    yield
    if _is_one_of_several():
        _wait()


def check_agreement(facts: Mapping[str, Any], progress: Progress) -> None:
    """Waits for all processes, and raises an error where they are not of one run.

    Args:
        facts: what the run was started with.
        progress: where it begins.

    Raises:
        ConfigError: processes with other data, another recipe or other checkpoints; it names what
            differs.
    """
    if not _is_one_of_several():
        return
    import torch
    import torch.distributed as distributed

    compared = {**facts, "checkpoint": [progress.first_epoch, progress.first_step]}
    names = sorted(compared)  # the same in each process
    contents = [json.dumps(compared[name], sort_keys=True).encode() for name in names]
    digests = b"".join(hashlib.sha256(content).digest() for content in contents)
    own = torch.frombuffer(bytearray(digests), dtype=torch.uint8).reshape(len(names), -1)
    all_of_them = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(all_of_them, own)
    others = [
        (rank, other) for rank, other in enumerate(all_of_them) if not torch.equal(own, other)
    ]
    if others:
        rank, other = others[0]
        differing = [name for name, a, b in zip(names, own, other, strict=True) if (a != b).any()]
        raise ConfigError(
            f"training.data_parallel: process {rank} differs from process "
            f"{distributed.get_rank()} in {', '.join(differing)}; give all of them the same "
            "recipe, files and folder"
        )


class EndTogether(keras.callbacks.Callback):
    """Ends training in all processes after the epoch after which the leader does."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        import torch
        import torch.distributed as distributed

        ends = torch.tensor([int(self.model.stop_training)])
        distributed.broadcast(ends, src=0)
        self.model.stop_training = bool(ends.item())


def together() -> list[keras.callbacks.Callback]:
    """Returns the last callback of a run that has several processes; none for one process."""
    return [EndTogether()] if _is_one_of_several() else []


def train_along(
    model: Any,
    batches: Batches,
    progress: Progress,
    epochs: int,
    checkpoint: RunCheckpoint | None,
) -> None:
    """Trains as the leader does, without its validation and its callbacks."""
    callbacks = [] if checkpoint is None else restore_training(checkpoint, model)
    if checkpoint is not None and checkpoint.facts["is_finished"]:
        return
    callbacks += [progress, *together()]
    fit_from(model, batches, progress, epochs, verbose=0, callbacks=callbacks)


@contextlib.contextmanager
def quiet_where_it_follows(recipe: RecipeConfig) -> Iterator[None]:
    """Leaves messages of the package to the leader."""
    logger = logging.getLogger("keras_s2s")
    before = logger.level
    if follows(recipe):
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _is_one_of_several() -> bool:
    from keras_s2s.training.data_parallel import replicas

    return replicas() > 1 and keras.backend.backend() == "torch"


def _wait() -> None:
    import torch.distributed as distributed

    distributed.barrier()
