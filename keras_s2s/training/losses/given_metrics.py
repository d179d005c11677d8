"""Metrics that a caller compiles with: Keras' own, and functions, as means over real tokens.

The default metrics are in `metrics.py`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.training.losses.given_losses import takes_probabilities
from keras_s2s.training.losses.metrics import TokenAccuracy, TokenMean
from keras_s2s.training.losses.token_weights import without_ignored
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class TokenMetric(TokenMean):
    """A function of labels and logits, averaged over real tokens, or over real rows.

    Args:
        function: gives a value for each token, `[B, T]`, or for each row, `[B]`.
        name: of the metric.
        **options: further arguments of `function`.
    """

    def __init__(self, function: Any, name: str, dtype: Any = None, **options: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self.function = function
        self.options = options

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        y_true, weights = without_ignored(y_true, sample_weight)
        values = self.function(y_true, y_pred, **self.options)
        rank = len(values.shape)
        if rank not in (1, 2):
            raise ValueError(
                f"the metric {self.name!r} gives values of shape {tuple(values.shape)}; expected "
                "one for each token, [batch, target], or for each row, [batch]"
            )
        if rank == 1:  # a row with any real token counts as one
            values = ops.expand_dims(values, 1)
            weights = ops.cast(ops.any(weights > 0, axis=1, keepdims=True), "float32")
        self.accumulate(values, weights)

    def get_config(self) -> dict[str, Any]:
        function = keras.saving.serialize_keras_object(self.function)
        return {**super().get_config(), "function": function, **self.options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TokenMetric:
        function = keras.saving.deserialize_keras_object(config["function"])
        return cls(**{**config, "function": function})


def as_token_metrics(metrics: Any) -> Any:
    """Returns the metrics given to `compile` as means over real tokens.

    Args:
        metrics: as in `keras.Model.compile`: names, functions, metrics, or lists of them.

    Returns:
        the same, in which functions and Keras' own means are `TokenMetric`s. Other classes are
        unchanged: they get `[B, T]` labels and weights, and reduce in their own way.

    Raises:
        ValueError: one takes logits for probabilities.
    """
    if metrics is None:
        return None
    if isinstance(metrics, list | tuple):
        return [as_token_metrics(each) for each in metrics]
    if isinstance(metrics, dict) and "class_name" not in metrics:
        return {name: as_token_metrics(each) for name, each in metrics.items()}
    name = metrics if isinstance(metrics, str) else None
    if name is not None and name.lower() in ("accuracy", "acc"):
        return TokenAccuracy(name=name)
    if name is not None and name.lower() in ("crossentropy", "ce"):
        metrics = "sparse_categorical_crossentropy"
    metric = keras.metrics.get(metrics)
    if takes_probabilities(metric):
        raise ValueError(
            f"the metric {name or getattr(metric, 'name', None) or metric!r} takes "
            "probabilities, but the model's outputs are logits; compile() measures perplexity "
            "by itself, or pass from_logits=True"
        )
    if type(metric) is keras.metrics.MeanMetricWrapper or (
        isinstance(metric, keras.metrics.MeanMetricWrapper)
        and type(metric).__module__.startswith("keras.")
    ):
        return TokenMetric(metric._fn, metric.name, **metric._fn_kwargs)
    if isinstance(metric, keras.metrics.Metric):
        return metric
    return TokenMetric(metric, name or str(getattr(metric, "__name__", "metric")))
