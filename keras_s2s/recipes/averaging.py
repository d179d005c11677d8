"""The mean of the weights of a run's last epochs [Vaswani 2017, section 6.1]."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.recipes.run_checkpoints import RunCheckpoint, RunCheckpoints, read_checkpoint

logger = logging.getLogger(__name__)


class LastEpochs(keras.callbacks.Callback):
    """Keeps the weights of the last epochs on the disk, and averages them at the end of a run.

    Args:
        directory: where they are kept.
        count: of epochs.
    """

    def __init__(self, directory: Path, count: int) -> None:
        super().__init__()
        self.count = count
        self.kept = RunCheckpoints(directory, count, "epoch")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        arrays = {
            str(i): np.array(ops.convert_to_numpy(weight.value))
            for i, weight in enumerate(self.model.weights)
        }
        self.kept.write(epoch + 1, RunCheckpoint(arrays, {}))

    def average(self, model: Any, epochs: int) -> list[int]:
        """Puts the mean of the weights of the last epochs into a model.

        Args:
            model: whose weights are replaced.
            epochs: that the run trained.

        Returns:
            the epochs, from 1 on; where some could not be written, which is logged, the others.

        Raises:
            CheckpointError: the weights of an epoch cannot be read, or there are none.
        """
        wanted = range(max(1, epochs - self.count + 1), epochs + 1)
        used = [epoch for epoch in wanted if self.kept.path(epoch).is_file()]
        if not used:
            raise CheckpointError(f"{self.kept.directory} holds no weights to average")
        if missing := [epoch for epoch in wanted if epoch not in used]:
            logger.warning(
                "the weights of epochs %s were not kept; the mean is of epochs %s", missing, used
            )
        found = [read_checkpoint(self.kept.path(epoch)).arrays for epoch in used]
        for i, weight in enumerate(model.weights):
            weight.assign(mean_of([arrays[str(i)] for arrays in found]))
        return used


def mean_of(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the mean of arrays of one shape, summed in float64."""
    return np.mean(np.stack(arrays), axis=0, dtype="float64").astype("float32")
