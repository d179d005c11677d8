"""Weights outlive an error in the middle of `fit` and `evaluate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras


@contextmanager
def kept_weights(model: Any) -> Iterator[None]:
    """Put weights back into their variables when a step, its data or the user ends it.

    On JAX Keras takes the values out of the variables before the first step, hands them from step
    to step, and puts them back at the end. An error in `evaluate`, or in the first batch of
    `fit`, leaves a model without weights.

    Args:
        model: a compiled Keras model whose optimiser is built.
    """
    if keras.backend.backend() != "jax":
        yield
        return
    optimizer = [] if model.optimizer is None else model.optimizer.variables
    variables = [*model.variables, *optimizer, *model.metrics_variables]
    before = [(variable, variable.value) for variable in variables]
    try:
        yield
    except BaseException:
        model.jax_state_sync()  # what the last step returned; the values before it are used up
        for variable, value in before:
            # `variable.value` would draw a new one where there is none.
            if variable._value is None:
                variable.assign(value)
        raise
