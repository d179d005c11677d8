"""Finds the optimisers that hold the state of weights within those that Keras wraps around them."""

from __future__ import annotations

from typing import Any


def inner_optimizers(optimizer: Any) -> list[Any]:
    """Returns the optimisers that train weights.

    Args:
        optimizer: of a compiled model. float16 wraps it (`LossScaleOptimizer`); learning rates of
            groups make several of it (`MultiOptimizer`).

    Returns:
        that optimiser alone, or those of the groups, the one of all other weights last.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return list(getattr(optimizer, "optimizers", [optimizer]))


def main_optimizer(optimizer: Any) -> Any:
    """Returns the optimiser of the weights that are in no group; the last group's where there are
    none.

    Args:
        optimizer: of a compiled model.
    """
    found = inner_optimizers(optimizer)
    # One without weights makes no steps.
    return next((each for each in reversed(found) if each.built), found[-1])
