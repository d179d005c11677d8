"""Validates and saves with the exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_s2s.training.optimizers.inner_optimizers import inner_optimizers
from keras_s2s.training.training_state import as_array


class AverageIn(keras.callbacks.Callback):
    """Puts the moving average of the weights into the model from the end of an epoch's steps on.

    Validation and the callbacks between this one and its `out` see the average; the latter puts the
    trained weights back, with which the next epoch begins. `keras.callbacks.SwapEMAWeights` swaps
    by sums and differences on TensorFlow, which rounds the weights.

    The optimiser keeps the average (`use_ema=True`). At the end of `fit` Keras puts it into the
    weights; they are put back then too, so that another `fit` can go on.

    Example:
        >>> model.compile(keras.optimizers.Adam(1e-3, use_ema=True, ema_momentum=0.999))
        >>> average, best = AverageIn(), keras.callbacks.EarlyStopping(restore_best_weights=True)
        >>> history = model.fit(batches, validation_data=batches, verbose=0,
        ...                     callbacks=[average, best, average.out])
    """

    def __init__(self) -> None:
        super().__init__()
        self._trained: list[np.ndarray] | None = None
        self._at_the_end: list[np.ndarray] | None = None
        self.out = _AverageOut(self)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._put_in()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._put_in()  # where there is no validation

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._at_the_end is not None:
            _assign([variable for variable, _ in averages(self.model)], self._at_the_end)

    def _put_in(self) -> None:
        if self._trained is not None:
            return
        pairs = list(averages(self.model))
        if not pairs:
            raise ValueError(
                "the optimiser keeps no moving average; compile with use_ema=True, as in "
                "keras.optimizers.Adam(1e-3, use_ema=True, ema_momentum=0.999)"
            )
        self._trained = [as_array(variable) for variable, _ in pairs]
        for variable, average in pairs:
            variable.assign(as_array(average))  # a copy: JAX gives the memory of a step away

    def put_back(self) -> None:
        """Puts the trained weights back."""
        if self._trained is not None:
            _assign([variable for variable, _ in averages(self.model)], self._trained)
            self._at_the_end, self._trained = self._trained, None


class _AverageOut(keras.callbacks.Callback):
    """Ends what `AverageIn` began, for the callbacks after it."""

    def __init__(self, began: AverageIn) -> None:
        super().__init__()
        self._began = began

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._began.put_back()


def averages(model: Any) -> Iterator[tuple[Any, Any]]:
    """Yields each trained weight of a model with the variable of its moving average."""
    for each in inner_optimizers(model.optimizer):
        if not each.use_ema or not each.built:
            continue
        kept = each._model_variables_moving_average
        for variable, average in zip(each._trainable_variables, kept, strict=True):
            if average is not None:
                yield variable, average


def _assign(variables: list[Any], arrays: list[np.ndarray]) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
