"""The default metrics, and the logged loss: means over real tokens.

Keras' own `Mean` first takes the mean over a row's positions, padding included, so that a batch is
weighted by its rows and its padded length, not by its tokens.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.training.data_parallel import sums_of_step
from keras_s2s.training.losses.loss import token_cross_entropy
from keras_s2s.training.losses.token_weights import by_row, without_ignored
from keras_s2s.typing import Tensor


class ExactSum:
    """A sum in two float32 variables of a metric: its value, and its rounding error.

    Float32 alone stops counting single tokens at 2 ** 24, and JAX and accelerators have no
    float64. [Knuth, The Art of Computer Programming, volume 2, 4.2.2, theorem B]
    """

    def __init__(self, metric: keras.metrics.Metric, name: str) -> None:
        self.high, self.low = (
            metric.add_variable(
                shape=(), initializer="zeros", dtype="float32", name=f"{name}{part}"
            )
            for part in ("", "_rounding")
        )

    def add(self, value: Tensor) -> None:
        """Adds a scalar."""
        high = ops.convert_to_tensor(self.high)
        total = high + value
        rest = total - high
        self.low.assign(self.low + ((high - (total - rest)) + (value - rest)))
        self.high.assign(total)

    @property
    def value(self) -> Tensor:
        """The sum, float32."""
        return ops.convert_to_tensor(self.high) + ops.convert_to_tensor(self.low)


class TokenMean(keras.metrics.Metric):
    """The mean of values over the tokens whose weight is not 0, since the last reset.

    It does not depend on batch sizes, padding or order: sums of values and of weights are kept, in
    float32 for any precision of the model.

    Args:
        name: of the metric.

    Example:
        >>> mean = TokenMean("mean")
        >>> mean.accumulate([[1.0, 3.0]], [[1.0, 1.0]])
        >>> mean.accumulate([[8.0, 0.0, 0.0]], [[1.0, 0.0, 0.0]])
        >>> float(mean.result())
        4.0
    """

    def __init__(self, name: str = "token_mean", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype or "float32")
        self._sum = ExactSum(self, "total")
        self._tokens = ExactSum(self, "tokens")

    def accumulate(self, values: Tensor, sample_weight: Tensor | None = None) -> None:
        """Adds values of tokens.

        Args:
            values: `[B, T]`.
            sample_weight: `[B, T]`, `[B, 1]` or `[B]`; None is 1 everywhere.
        """
        values = ops.cast(ops.convert_to_tensor(values), "float32")
        weights = ops.ones_like(values)
        if sample_weight is not None:
            weights = weights * by_row(sample_weight)
        self.add(ops.sum(values * weights), ops.sum(weights))

    def add(self, total: Tensor, tokens: Tensor) -> None:
        """Adds the sum of weighted values and the sum of their weights, two scalars."""
        total, tokens = sums_of_step(ops.stop_gradient(total), ops.stop_gradient(tokens))
        self._sum.add(total)
        self._tokens.add(tokens)

    @property
    def tokens(self) -> Tensor:
        """The sum of all weights so far."""
        return self._tokens.value

    def mean(self) -> Tensor:
        """Returns the mean so far; 0 where all weights were 0."""
        return ops.divide_no_nan(self._sum.value, self._tokens.value)

    def result(self) -> Tensor:
        return self.mean()

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}


@keras.saving.register_keras_serializable("keras_s2s")
class TokenAccuracy(TokenMean):
    """The share of real positions at which the likeliest id is the label (teacher forced)."""

    #: What a fused step adds: see `fused_cross_entropy.TokenSums`.
    fused_sum = "correct"

    def __init__(self, name: str = "token_accuracy", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self._direction = "up"

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        y_true, sample_weight = without_ignored(y_true, sample_weight)
        best = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        self.accumulate(ops.equal(best, y_true), sample_weight)


@keras.saving.register_keras_serializable("keras_s2s")
class Perplexity(TokenMean):
    """The exponential of the mean cross-entropy per real token, without label smoothing."""

    #: What a fused step adds: see `fused_cross_entropy.TokenSums`.
    fused_sum = "nll"

    def __init__(self, name: str = "perplexity", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self._direction = "down"

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        y_true, sample_weight = without_ignored(y_true, sample_weight)
        self.accumulate(token_cross_entropy(y_true, y_pred), sample_weight)

    def result(self) -> Tensor:
        return ops.exp(self.mean())


class LossTracker(TokenMean):
    """The `loss` in the logs: the mean of the losses of steps, weighted by their tokens.

    Keras weights the loss of a step by its rows. Terms that a step adds to the mean over its tokens
    (regularisers) have the same weight.
    """

    def __init__(self) -> None:
        super().__init__(name="loss")
        self._direction = "down"
        zero: dict[str, Any] = {"shape": (), "initializer": "zeros", "dtype": "float32"}
        # Variables, as JAX computes a loss in one traced function and tracks it in another.
        self._step_tokens = self.add_variable(**zero, name="step_tokens")
        self._step_known = self.add_variable(**zero, name="step_known")

    def next_step_has(self, tokens: Tensor) -> None:
        """Sets how many tokens, a scalar, the loss of the next `update_state` is a mean of."""
        self._step_tokens.assign(ops.stop_gradient(ops.cast(tokens, "float32")))
        self._step_known.assign(ops.ones((), "float32"))

    def update_state(self, values: Tensor, sample_weight: Tensor | None = None) -> None:
        """Adds the loss of a step, a scalar; `sample_weight` counts if its tokens are unknown."""
        known = ops.convert_to_tensor(self._step_known)
        rows = ops.cast(1 if sample_weight is None else sample_weight, "float32")
        tokens = known * ops.convert_to_tensor(self._step_tokens) + (1.0 - known) * rows
        self.add(ops.cast(values, "float32") * tokens, tokens)
        self._step_known.assign(ops.zeros((), "float32"))
