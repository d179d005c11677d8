"""Makes training steps and generation in other threads take turns.

A step changes every weight, and on JAX it reuses their memory: a thread that reads them meanwhile
would get a mixture, or an error. Therefore a step holds the model's lock (`FairLock`), as
generation does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from keras_s2s.fair_lock import FairLock

#: Values that a compiled step of JAX returns, by Keras' names, in Keras' order.
STATES = {
    "train": (
        "trainable_variables",
        "non_trainable_variables",
        "optimizer_variables",
        "metrics_variables",
    ),
    "test": ("trainable_variables", "non_trainable_variables", "metrics_variables"),
    "predict": ("trainable_variables", "non_trainable_variables"),
}


def taking_turns(
    function: Callable[..., Any], kind: str, model: Any, turns: FairLock
) -> Callable[..., Any]:
    """Returns a step function of Keras that holds `turns` while it runs.

    Args:
        function: `model.train_function`, `test_function` or `predict_function`.
        kind: "train", "test" or "predict".
        model: on JAX, where a step replaces arrays rather than filling variables, it learns of
            the new ones before the lock is given back; `model.jax_state_sync()` then finds them.
        turns: the lock.
    """
    if keras.backend.backend() != "jax":

        def step(*arguments: Any) -> Any:
            with turns:
                return function(*arguments)

        return step

    def step_of_jax(state: Any, iterator: Any) -> Any:
        if model.steps_per_execution == 1:
            # The code that prepares the data may itself need the lock.
            iterator = iter([next(iterator)])
        with turns:
            logs, state = function(state, iterator)
            model._jax_state = dict(zip(STATES[kind], state, strict=True))
            model._jax_state_synced = False
        return logs, state

    return step_of_jax
