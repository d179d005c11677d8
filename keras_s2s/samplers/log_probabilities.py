"""Log-probabilities of logits: of all ids, or of the few that a search has chosen."""

from __future__ import annotations

import keras
from keras import ops

from keras_s2s.samplers.gather import gather
from keras_s2s.typing import Tensor


def log_probabilities(logits: Tensor) -> Tensor:
    """Computes the log-probabilities of all ids: float32 `[R, V]` from logits `[R, V]`."""
    if keras.backend.backend() == "torch":
        return ops.log_softmax(logits, axis=-1)  # one pass; a sum and a difference are four
    return logits - _log_normaliser(logits)


def log_probabilities_at(logits: Tensor, places: Tensor) -> Tensor:
    """Computes the log-probabilities of some ids.

    Args:
        logits: float32 `[R, V]`.
        places: int32 `[R, N]`, where the logits of these ids stand.

    Returns:
        float32 `[R, N]`.
    """
    if keras.backend.backend() == "torch":
        return gather(log_probabilities(logits), places)
    # Compiled backends need no array [R, V] for a sum.
    return gather(logits, places) - _log_normaliser(logits)


def _log_normaliser(logits: Tensor) -> Tensor:
    """Computes `logsumexp` of each row, `[R, 1]`."""
    return ops.logsumexp(logits, axis=-1, keepdims=True)
