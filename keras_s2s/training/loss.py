"""Cross-entropy per token, averaged over real tokens."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def token_cross_entropy(labels: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
    """Cross-entropy of each position.

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


@keras.saving.register_keras_serializable("keras_s2s")
class TokenCrossEntropy(keras.losses.Loss):
    """Mean cross-entropy over the positions that weigh something.

    Keras' default reduction divides by all positions, padding included, so that a batch with
    more padding would learn more slowly; this one divides by the sum of the weights.

    Args:
        label_smoothing: share of the probability spread evenly over the vocabulary.
        name: of the loss.

    Call arguments:
        y_true: int `[B, T]`; y_pred: logits `[B, T, V]`; sample_weight: float `[B, T]`.
    """

    def __init__(
        self, label_smoothing: float = 0.0, name: str = "token_cross_entropy", **kwargs: Any
    ) -> None:
        kwargs.setdefault("reduction", "mean_with_sample_weight")
        super().__init__(name=name, **kwargs)
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(f"label_smoothing={label_smoothing} must lie in [0, 1)")
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return token_cross_entropy(y_true, y_pred, self.label_smoothing)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
