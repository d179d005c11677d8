"""The mean of the weights of a run's last epochs [Vaswani 2017, section 6.1]."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.recipes.checkpoints.run_checkpoints import (
    RunCheckpoint,
    RunCheckpoints,
    read_checkpoint,
)
from keras_s2s.training.training_state import as_array

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
        arrays = {str(i): as_array(weight) for i, weight in enumerate(self.model.weights)}
        self.kept.write(epoch + 1, RunCheckpoint(arrays, {}))

    def average(self, model: Any, epochs: int) -> list[int]:
        """Puts the mean of the weights of the last epochs into a model.

        Args:
            model: whose weights are replaced.
            epochs: that the run trained.

        Returns:
            the epochs, from 1 on. Those whose weights were not written (a full disk) or cannot be
            read are left out, which is logged; where that is all of them, the model stays as it is.
        """
        sums: dict[str, np.ndarray] = {}
        used = []
        wanted = range(max(1, epochs - self.count + 1), epochs + 1)
        for epoch in wanted:
            try:
                arrays = read_checkpoint(self.kept.path(epoch)).arrays
            except CheckpointError as error:
                logger.warning("epoch %d is not in the mean of weights: %s", epoch, error)
                continue
            used.append(epoch)
            for name, array in arrays.items():
                sums[name] = sums.get(name, 0.0) + array.astype("float64")
        for i, weight in enumerate(model.weights if used else ()):
            weight.assign((sums[str(i)] / len(used)).astype("float32"))
        return used
