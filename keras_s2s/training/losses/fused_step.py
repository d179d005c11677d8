"""A training step that computes output projection, loss and metrics in one.

While such a step runs, the model returns the decoder's hidden vectors in place of logits, the loss
projects them (`fused_cross_entropy.py`), and the metrics take its sums, where Keras would have them
compute the softmax over the vocabulary once more each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
from keras import ops

from keras_s2s.layers.output_projection import OutputProjection
from keras_s2s.training.losses.fused_cross_entropy import TokenSums, fused_cross_entropy
from keras_s2s.typing import Tensor


class FusedStep:
    """The parts of a model that a fused step needs.

    Args:
        inputs: of the model.
        output: the output projection, in the graph of the model.
        metrics: token accuracy and perplexity, whose `fused_sum` names one of `TokenSums`.
    """

    def __init__(
        self, inputs: Any, output: OutputProjection, metrics: Sequence[keras.metrics.Metric]
    ) -> None:
        self.output = output
        self.metrics = list(metrics)
        # A part of the model's own graph: a graph tells each layer whether it trains. On JAX a
        # training step is no call of the model, from which layers could take that.
        self._hidden = keras.Model(inputs, output.input)

    def hidden(self, inputs: Any) -> Tensor:
        """Returns the decoder's hidden vectors `[B, T, D]` in training."""
        return self._hidden(inputs, training=True)

    def mean_loss(
        self, hidden: Tensor, labels: Tensor, weights: Tensor, label_smoothing: float
    ) -> Tensor:
        """Returns the mean of the cross-entropy over the weights, and updates the metrics.

        Args:
            hidden: `[B, T, D]`.
            labels: int `[B, T]`.
            weights: float32 `[B, T]`.
            label_smoothing: of the loss; the metrics have none.
        """
        vectors, table, bias = self.output.factors(hidden)
        weights = ops.reshape(ops.broadcast_to(weights, ops.shape(labels)), (-1,))
        sums = fused_cross_entropy(
            ops.reshape(vectors, (-1, vectors.shape[-1])),
            table,
            bias,
            ops.reshape(labels, (-1,)),
            weights,
            label_smoothing,
        )
        tokens = ops.sum(weights)
        self._update_metrics(sums, tokens)
        return ops.divide_no_nan(sums.loss, tokens)

    def _update_metrics(self, sums: TokenSums, tokens: Tensor) -> None:
        for metric in self.metrics:
            metric.add(getattr(sums, metric.fused_sum), tokens)


_CURRENT: ContextVar[FusedStep | None] = ContextVar("fused_step", default=None)


def current_step() -> FusedStep | None:
    """Returns the fused step that is running in this thread, or None."""
    return _CURRENT.get()


@contextmanager
def fused(step: FusedStep | None) -> Iterator[None]:
    """Makes the training step within it a fused one; None leaves it as it is."""
    token = _CURRENT.set(step)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def fused_step(
    model: Any, asked: bool | str, loss: Any, metrics: Sequence[keras.metrics.Metric]
) -> FusedStep | None:
    """Returns the parts of a fused step, or None where steps are not fused.

    Args:
        model: a `Seq2SeqLM`.
        asked: the argument `fused_loss` of `compile`.
        loss: as it is compiled.
        metrics: all of them.

    Raises:
        ValueError: `asked` is True, and a step cannot be fused.
    """
    if asked not in (True, False, "auto"):
        raise ValueError(f'fused_loss={asked!r}: expected True, False or "auto"')
    cause = _why_not(model.network.output, loss, metrics)
    if asked is True and cause is not None:
        raise ValueError(f"fused_loss=True: {cause}; leave fused_loss out")
    if cause is not None or not asked:
        return None
    return FusedStep(model.input, model.network.output, metrics)


def _why_not(output: OutputProjection, loss: Any, metrics: Sequence[Any]) -> str | None:
    """Returns why a step cannot be fused, or None where it can."""
    projection: Any = output.dense if output.table is None else output.table
    if not getattr(loss, "fuses", False):
        return "the loss is not the default one, so that it needs all logits"
    # Of the class itself: a subclass may measure something else.
    if not all("fused_sum" in vars(type(metric)) for metric in metrics):
        return "there are other metrics than the default ones, which need all logits"
    if output.compute_dtype == "float16":
        return "float16 needs the scale of the loss before the gradient of the logits is rounded"
    if type(projection) not in (keras.layers.Dense, keras.layers.ReversibleEmbedding):
        return f"the output projection is a {type(projection).__name__}"
    if projection.quantization_mode is not None or projection.lora_enabled:
        return "the output projection is quantised, or has an adapter"
    return None
