"""The default loss: cross-entropy per token, averaged over real tokens.

`compile` chooses it (`training/compiling.py`); other losses of a caller's are averaged alike
(`given_losses.py`). Keras calls it for each batch, with the weights of `token_weights.py`
(`training/training_step.py`). In a fused step it computes the logits, too (`fused_step.py`).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_s2s.training.data_parallel import loss_of_replica
from keras_s2s.training.losses.fused_step import current_step
from keras_s2s.training.losses.token_weights import without_ignored
from keras_s2s.typing import Tensor


def token_cross_entropy(labels: Tensor, logits: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Computes the cross-entropy of each position.

    Args:
        labels: int tensor `[B, T]`.
        logits: float tensor `[B, T, V]`.
        label_smoothing: share of the probability spread evenly over the vocabulary
            [Szegedy 2016; Vaswani 2017, section 5.4].

    Returns:
        float32 tensor `[B, T]`, in nats.
    """
    logits = ops.cast(logits, "float32")
    labels = ops.cast(labels, "int32")
    log_norm = ops.logsumexp(logits, axis=-1)
    # One gather instead of a one-hot matrix [B, T, V].
    true = ops.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    loss = log_norm - true
    if label_smoothing:
        uniform = log_norm - ops.mean(logits, axis=-1)
        loss = (1.0 - label_smoothing) * loss + label_smoothing * uniform
    return loss


class TokenLoss(keras.losses.Loss):
    """Base class of losses that are the mean over the positions whose weight is not 0.

    Keras' default reduction divides by all positions, padding included, so that a batch with
    more padding would learn more slowly; this one divides by the sum of the weights. Labels of
    -100 have weight 0.

    Args:
        name: of the loss.
        **kwargs: as of `keras.losses.Loss`.
    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        kwargs.setdefault("reduction", "mean_with_sample_weight")
        # Keras converts labels to this type too: ids must stay whole under any `floatx`.
        kwargs.setdefault("dtype", "float32")
        super().__init__(name=name, **kwargs)

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        y_true, sample_weight = without_ignored(y_true, sample_weight)
        return super().__call__(y_true, y_pred, sample_weight)


@keras.saving.register_keras_serializable("keras_s2s")
class TokenCrossEntropy(TokenLoss):
    """The mean cross-entropy over the positions whose weight is not 0.

    Args:
        label_smoothing: share of the probability spread evenly over the vocabulary.
        name: of the loss.

    Call arguments:
        y_true: int `[B, T]`, in which -100 is left out; y_pred: logits `[B, T, V]`;
        sample_weight: float `[B, T]`, or `[B]` for rows.
    """

    def __init__(
        self, label_smoothing: float = 0.0, name: str = "token_cross_entropy", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(f"label_smoothing={label_smoothing} must lie in [0, 1)")
        self.label_smoothing = label_smoothing

    @property
    def fuses(self) -> bool:
        """Whether a fused step computes this loss: not that of a subclass, which may be another."""
        return type(self) is TokenCrossEntropy

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        step = current_step()
        if step is None:
            return super().__call__(y_true, y_pred, sample_weight)
        # The model returned hidden vectors.
        labels, weights = without_ignored(y_true, sample_weight)
        mean = step.mean_loss(y_pred, labels, weights, self.label_smoothing)
        return loss_of_replica(mean)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return token_cross_entropy(y_true, y_pred, self.label_smoothing)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
