"""Keeps the weights of a model when an error ends `fit` or `evaluate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras


@contextmanager
def kept_weights(model: Any) -> Iterator[None]:
    """Puts weights back into their variables when an error, or the user, ends a step.

    On JAX Keras takes the values out of the variables before the first step, passes them from step
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
