"""Metrics over real tokens."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.training.loss import token_cross_entropy


@keras.saving.register_keras_serializable("keras_s2s")
class TokenAccuracy(keras.metrics.MeanMetricWrapper):
    """Share of real positions whose likeliest id is the label (with the true history)."""

    def __init__(self, name: str = "token_accuracy", dtype: Any = None) -> None:
        super().__init__(_correct, name=name, dtype=dtype)
        self._direction = "up"

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}


def _correct(y_true: Any, y_pred: Any) -> Any:
    best = ops.argmax(y_pred, axis=-1)
    return ops.cast(ops.equal(ops.cast(best, "int32"), ops.cast(y_true, "int32")), "float32")


@keras.saving.register_keras_serializable("keras_s2s")
class Perplexity(keras.metrics.Mean):
    """exp of the mean cross-entropy per real token, without label smoothing."""

    def __init__(self, name: str = "perplexity", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self._direction = "down"

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        super().update_state(token_cross_entropy(y_true, y_pred), sample_weight=sample_weight)

    def result(self) -> Any:
        # Bounded, so that an untrained model's figure stays a number.
        return ops.exp(ops.minimum(super().result(), 50.0))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}
