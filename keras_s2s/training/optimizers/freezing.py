"""Which weights of a model are trained: fixing some of them, and what is fixed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_s2s.training.optimizers.weight_groups import described


def frozen_weights(model: Any) -> list[Any]:
    """Returns the weights that are not trained now, but are where nothing is frozen.

    They are found whatever fixed them: `freeze`, or `layer.trainable = False`. Weights that are
    fixed by construction (a buffer) are not among them.
    """
    trained = {id(weight) for weight in model.trainable_weights}
    able = {
        id(weight) for layer in model._flatten_layers() for weight in layer._trainable_variables
    }
    return [weight for weight in model.weights if id(weight) in able - trained]


def freeze(model: Any, weights: Sequence[Any]) -> None:
    """Fixes weights.

    Raises:
        ValueError: nothing would be left to train; nothing is changed then.
    """
    chosen = {id(weight) for weight in weights}
    if all(id(weight) in chosen for weight in model.trainable_weights):
        raise ValueError(
            "nothing would be left to train: all weights that are trained now are among "
            f"{described(weights, model.weights)}; freeze fewer of them"
        )
    for weight in weights:
        weight.trainable = False


def unfreeze(model: Any) -> None:
    """Makes all weights trained again, but for those that a LoRA adapter stands in for."""
    adapted = {
        id(layer._kernel) for layer in model._flatten_layers() if getattr(layer, "lora_enabled", 0)
    }
    for layer in model._flatten_layers():
        layer._trainable = True  # the setter would train the adapted kernels, too
    for weight in frozen_weights(model):
        weight.trainable = id(weight) not in adapted


def frozen_report(model: Any) -> str | None:
    """Returns what is frozen, in a line; None where nothing is."""
    frozen = frozen_weights(model)
    if not frozen:
        return None
    count, every = (sum(_size(w) for w in weights) for weights in (frozen, model.weights))
    return f"frozen: {described(frozen, model.weights)} ({count:,} of {every:,} parameters)"


def _size(weight: Any) -> int:
    size = 1
    for length in weight.shape:
        size *= length
    return size


def refuse_other_weights(model: Any) -> None:
    """Raises an error where the optimiser was built for other weights than are to be trained.

    Raises:
        ValueError: weights were frozen, unfrozen or added since.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if optimizer is None or not optimizer.built:
        return
    known = {id(weight) for weight in optimizer._trainable_variables}
    if known != {id(weight) for weight in model.trainable_variables}:
        raise ValueError(
            "the weights to train are not those that the optimiser has a state for: some were "
            "frozen, unfrozen or added since the training began. Call model.compile(...) again"
        )
