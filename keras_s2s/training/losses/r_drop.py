"""R-Drop: two passes under different dropout are made to agree [Liang et al. 2021,
arXiv 2106.14448].

A batch is put in twice, as one of twice the rows, so that each row is read under two draws of
dropout. To the loss, the mean over the tokens of both passes, is added how much the two
distributions of each token differ: with `D(p, q) = (KL(p || q) + KL(q || p)) / 2`, averaged over
the tokens, `alpha / 2 * D`. This is the authors' loss for sequences, divided by the tokens of both
passes as theirs is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
from keras import ops

from keras_s2s.training.losses.token_weights import token_weights
from keras_s2s.typing import Tensor

#: Weight of the divergence in the running step; 0 where rows are not put in twice.
_ALPHA: ContextVar[float] = ContextVar("r_drop_alpha", default=0.0)


@contextmanager
def rows_twice(alpha: float, data: Any) -> Iterator[Any]:
    """Puts the rows of a batch in twice; within it, `with_divergence` adds to the loss.

    Args:
        alpha: weight of the divergence; with 0 the batch stays as it is.
        data: the batch, `x`, `(x, y)` or `(x, y, sample_weight)`.

    Yields:
        the batch of twice the rows, the second half as the first.
    """
    if not alpha:
        yield data
        return
    x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
    y, weights = token_weights(x, y, weights)
    x = {name: _twice(value) for name, value in x.items()}
    token = _ALPHA.set(alpha)
    try:
        yield x, _twice(y), _twice(weights)
    finally:
        _ALPHA.reset(token)


def with_divergence(loss: Tensor, logits: Tensor, weights: Tensor) -> Tensor:
    """Adds the divergence of the running step to its loss.

    Args:
        loss: scalar, the mean over the tokens of both passes.
        logits: `[2 B, T, V]`, of a batch of `rows_twice`.
        weights: float32 `[2 B, T]`.
    """
    alpha = _ALPHA.get()
    if not alpha:
        return loss
    return loss + ops.cast(alpha / 2 * divergence(logits, weights), loss.dtype)


def divergence(logits: Tensor, weights: Tensor) -> Tensor:
    """Returns the mean over tokens of the symmetric divergence between the halves of a batch.

    Args:
        logits: `[2 B, T, V]`.
        weights: float32 `[2 B, T]`, alike in both halves.

    Returns:
        float32 scalar; 0 where no token counts.
    """
    half = ops.shape(logits)[0] // 2
    log_probs = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    first, second = log_probs[:half], log_probs[half:]
    # KL(p || q) + KL(q || p) in one sum.
    both = ops.sum((ops.exp(first) - ops.exp(second)) * (first - second), axis=-1)
    return ops.divide_no_nan(ops.sum(both / 2 * weights[:half]), ops.sum(weights[:half]))


def checked_alpha(alpha: Any, model: keras.Model) -> float:
    """Returns the argument `r_drop` of `compile`.

    Raises:
        ValueError: it is no number of at least 0, or the model has no dropout, under which two
            passes could differ.
    """
    is_number = isinstance(alpha, int | float) and not isinstance(alpha, bool)
    if not is_number or not 0 <= alpha < float("inf"):
        raise ValueError(f"r_drop={alpha!r}: expected a number of at least 0, e.g. 5.0")
    layers = model._flatten_layers() if alpha else ()
    if alpha and not any(isinstance(x, keras.layers.Dropout) and x.rate for x in layers):
        raise ValueError(
            f"r_drop={alpha}: two passes of this model cannot differ, since all its dropout rates "
            'are 0; set one, e.g. architecture={"shared": {"dropout": 0.1}}'
        )
    return float(alpha)


def _twice(value: Any) -> Tensor:
    value = ops.convert_to_tensor(value)
    return ops.concatenate([value, value], axis=0)
