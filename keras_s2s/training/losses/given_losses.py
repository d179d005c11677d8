"""Losses that a caller compiles with: Keras' own, and functions, as means over real tokens.

The default loss is in `loss.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_s2s.training.losses.loss import TokenLoss
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class MeanOverTokens(TokenLoss):
    """A Keras loss or function, averaged over the positions whose weight is not 0.

    Args:
        loss: gives a value for each position, `[B, T]`, from labels `[B, T]` and logits
            `[B, T, V]`.
        name: of the loss.
    """

    def __init__(self, loss: Any, name: str | None = None, **kwargs: Any) -> None:
        loss = keras.losses.get(loss)
        own = getattr(loss, "name", None) or getattr(loss, "__name__", "loss")
        super().__init__(name=name or str(own), **kwargs)
        self.loss = loss

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        values = (self.loss.call if hasattr(self.loss, "call") else self.loss)(y_true, y_pred)
        if len(values.shape) != len(y_true.shape):
            raise ValueError(
                f"the loss {self.name!r} gives values of shape {tuple(values.shape)} for labels of "
                f"shape {tuple(y_true.shape)}; expected one value for each label, [batch, "
                "target], which are averaged over the real tokens here"
            )
        return values

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": keras.losses.serialize(self.loss)}


def as_token_loss(loss: Any) -> Any:
    """Returns a loss given to `compile`, as a mean over real tokens.

    Args:
        loss: as in `keras.Model.compile`.

    Returns:
        `loss` itself if it divides by the weights already, or reduces in another way.

    Raises:
        ValueError: it takes logits for probabilities, sums over a batch, or is one of Keras' own
            that compares values, as "mse".
    """
    if loss is None or isinstance(loss, list | tuple):
        return loss if loss is None else type(loss)(map(as_token_loss, loss))
    if isinstance(loss, dict) and "class_name" not in loss:
        return {name: as_token_loss(each) for name, each in loss.items()}
    resolved = _resolved(loss)
    if takes_probabilities(resolved):
        raise ValueError(
            f"loss={_named(loss)} takes probabilities, but the model's outputs are logits: it "
            "would learn another thing. Leave loss out (compile() has TokenCrossEntropy, the "
            "mean over real tokens), or pass "
            "keras.losses.SparseCategoricalCrossentropy(from_logits=True)"
        )
    if not _takes_ids(resolved):
        raise ValueError(
            f"loss={_named(loss)} does not go with labels [batch, target] that are ids and outputs "
            "[batch, target, vocabulary] that are logits. Leave loss out (compile() has "
            "TokenCrossEntropy, the mean over real tokens), or pass "
            "keras.losses.SparseCategoricalCrossentropy(from_logits=True) or a function that "
            "returns a value for each label, [batch, target]"
        )
    if not isinstance(resolved, keras.losses.Loss):
        return MeanOverTokens(resolved)
    if type(resolved).__call__ not in (keras.losses.Loss.__call__, TokenLoss.__call__):
        return resolved
    if resolved.reduction in ("sum", "none", None):
        raise ValueError(
            f"loss={_named(loss)} has reduction={resolved.reduction!r}, so that it grows with the "
            'batch and its padding; pass reduction="mean_with_sample_weight", the mean over real '
            "tokens"
        )
    if resolved.reduction == "mean_with_sample_weight":
        return resolved
    return MeanOverTokens(resolved)


def takes_probabilities(function: Any) -> bool:
    """Returns whether a loss, metric or function has `from_logits` and it is False."""
    keywords = getattr(function, "_fn_kwargs", None) or {}
    if "from_logits" in keywords:
        return not keywords["from_logits"]
    told = getattr(function, "from_logits", None)
    if told is not None:
        return not told
    if not callable(function) or isinstance(function, keras.losses.Loss | keras.metrics.Metric):
        return False
    try:
        parameter = inspect.signature(function).parameters.get("from_logits")
    except (TypeError, ValueError):
        return False
    return parameter is not None and parameter.default is False


def _takes_ids(loss: Any) -> bool:
    """Returns whether one of Keras' own losses gives a value for each label; True for others."""
    function = getattr(loss, "fn", loss)
    home = getattr(function, "__module__", None) or type(function).__module__
    if not home.startswith("keras.src."):
        return True
    labels, logits = ops.zeros((2, 3), dtype="int32"), ops.zeros((2, 3, 5))
    try:
        values = (loss.call if isinstance(loss, keras.losses.Loss) else loss)(labels, logits)
    except Exception:
        # Each backend has its own error for labels and logits of different ranks; `compile` turns
        # the answer into one that names the losses which take ids.
        return False
    return tuple(values.shape) == (2, 3)


def _resolved(loss: Any) -> Callable[..., Any]:
    if isinstance(loss, str) and loss.lower() in ("crossentropy", "ce"):
        loss = "sparse_categorical_crossentropy"  # what Keras makes of it, for ids as labels
    return keras.losses.get(loss)


def _named(loss: Any) -> str:
    if isinstance(loss, str):
        return repr(loss)
    return getattr(loss, "__name__", None) or f"{type(loss).__name__}()"
