"""What a training run is made of between two steps: everything that the next step depends on.

Weights, the state of the optimiser (its step counts, which learning-rate schedules follow, and
moving averages), the seeds of dropout, the sums of the metrics, and the global random state. Which
batch comes next is known to the data (`Batches.epoch`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR

from keras_s2s.checkpoints.errors import CheckpointError


def captured_state(model: Any) -> dict[str, np.ndarray]:
    """Returns a copy of the state of a model in training, and of the random state of the process.

    Args:
        model: a compiled `keras.Model` whose optimiser is built.

    Returns:
        arrays by name, such as `model/0`, `optimizer/3`, `metrics/1`, `random/python`; each in the
        order of Keras' lists of variables. Types that NumPy does not have, such as bfloat16, are
        float32, which holds them exactly.
    """
    if keras.backend.backend() == "jax":
        # Keras keeps the newest values outside of the variables while `fit` runs.
        model.jax_state_sync()
    arrays = {name: as_array(variable) for name, variable in _variables(model)}
    metrics = {f"metrics/{i}": as_array(v) for i, v in enumerate(model.metrics_variables)}
    return {**arrays, **metrics, **_random_state()}


def restore_state(model: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Puts weights, seeds of dropout and the state of the optimiser back.

    Args:
        model: a compiled model like the one whose state this is; its optimiser is built here.
        arrays: as `captured_state` returned them.

    Raises:
        CheckpointError: an array is missing, left over, or of another shape.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables = dict(_variables(model))
    _check(variables, {n: a for n, a in arrays.items() if not n.startswith(("metrics/", "random"))})
    for name, variable in variables.items():
        variable.assign(arrays[name])


def restore_metrics(model: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Puts the sums of the metrics back.

    Args:
        model: as in `restore_state`.
        arrays: as `captured_state` returned them.

    Raises:
        CheckpointError: an array is missing, left over, or of another shape.
    """
    sums = {name: array for name, array in arrays.items() if name.startswith("metrics/")}
    if len(model.metrics_variables) < len(sums):
        _build_metrics(model)
    variables = {f"metrics/{i}": variable for i, variable in enumerate(model.metrics_variables)}
    _check(variables, sums)
    for name, variable in variables.items():
        variable.assign(sums[name])


class RestoredState(keras.callbacks.Callback):
    """Puts back, in the first epoch of a `fit`, what Keras and PyTorch change when it begins.

    Keras resets the sums of the metrics at the beginning of an epoch. PyTorch's loader of data
    draws from the global random state, from which dropout without a seed draws on PyTorch, too.

    Args:
        arrays: as `captured_state` returned them.
        within_epoch: the state is not that of the end of an epoch, but of a step before.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], *, within_epoch: bool) -> None:
        super().__init__()
        self._arrays: Mapping[str, np.ndarray] | None = arrays
        self._within_epoch = within_epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._arrays is None:
            return
        if self._within_epoch:
            restore_metrics(self.model, self._arrays)
        else:
            # An epoch that begins draws as it did before.
            restore_random_state(self._arrays)
            self._arrays = None

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._arrays is not None:
            restore_random_state(self._arrays)
            self._arrays = None


def _variables(model: Any) -> Iterator[tuple[str, Any]]:
    # `variables`, not `weights`: with the seeds of dropout.
    yield from ((f"model/{i}", variable) for i, variable in enumerate(model.variables))
    yield from ((f"optimizer/{i}", v) for i, v in enumerate(model.optimizer.variables))


def as_array(variable: Any) -> np.ndarray:
    """Returns a copy of the value of a variable, as float32 where NumPy does not have its type."""
    value = variable.value
    if hasattr(value, "read_value"):
        value = value.read_value()  # TensorFlow's variables on several devices are no arrays
    array = np.array(ops.convert_to_numpy(value))
    return array if array.dtype.kind in "biuf" else array.astype("float32")


def _check(variables: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    wrong = [
        *(f"{name} is missing" for name in variables if name not in arrays),
        *(f"{name} has no variable" for name in arrays if name not in variables),
        *(
            f"{name} has the shape {arrays[name].shape}, expected {tuple(variable.shape)}"
            for name, variable in variables.items()
            if name in arrays and arrays[name].shape != tuple(variable.shape)
        ),
    ]
    if wrong:
        raise CheckpointError(
            f"this training state is of another model or optimiser: {'; '.join(wrong[:5])}"
        )


def _build_metrics(model: Any) -> None:
    """Makes the variables of metrics, which Keras on TensorFlow does in the first step only."""
    inputs = {"decoder_padding_mask": np.ones((1, 1), "bool")}
    logits = np.zeros((1, 1, model.output_shape[-1]), "float32")
    model.compute_metrics(inputs, np.zeros((1, 1), "int32"), logits, np.ones((1, 1), "float32"))
    model.reset_metrics()


# --------------------------------------------------------------------------------------
# The random state of the process
# --------------------------------------------------------------------------------------


def _random_state() -> dict[str, np.ndarray]:
    version, words, gauss = random.getstate()
    _, keys, *numbers = np.random.get_state()
    state = {
        "random/python": np.array([version, *words], "uint32"),
        "random/python_gauss": np.array(np.nan if gauss is None else gauss, "float64"),
        "random/numpy": np.array(keys, "uint32"),
        "random/numpy_numbers": np.array(numbers, "float64"),
    }
    if (generator := _global_seed_generator()) is not None:
        state["random/keras"] = as_array(generator.state)
    if keras.backend.backend() == "torch":
        import torch

        state["random/torch"] = torch.get_rng_state().numpy().copy()
        for i, seeds in enumerate(torch.cuda.get_rng_state_all()):
            state[f"random/torch_cuda_{i}"] = seeds.numpy().copy()
    return state


def _global_seed_generator() -> Any:
    """Returns the global seed generator of Keras; None before the first draw from it.

    To ask Keras for it would make one, which draws from Python's random state.
    """
    return global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)


def restore_random_state(arrays: Mapping[str, np.ndarray]) -> None:
    """Puts the random state of Python, NumPy, Keras and PyTorch back.

    Args:
        arrays: as `captured_state` returned them.
    """
    version, *words = arrays["random/python"].tolist()
    gauss = float(arrays["random/python_gauss"])
    random.setstate((version, tuple(words), None if np.isnan(gauss) else gauss))
    position, has_gauss, cached = arrays["random/numpy_numbers"].tolist()
    np.random.set_state(("MT19937", arrays["random/numpy"], int(position), int(has_gauss), cached))
    if "random/keras" in arrays:
        generator = _global_seed_generator() or keras.random.SeedGenerator(0)
        generator.state.assign(arrays["random/keras"])
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, generator)
    if keras.backend.backend() == "torch" and "random/torch" in arrays:
        import torch

        torch.set_rng_state(torch.from_numpy(arrays["random/torch"].copy()))
        for i in range(torch.cuda.device_count()):
            if (seeds := arrays.get(f"random/torch_cuda_{i}")) is not None:
                torch.cuda.set_rng_state(torch.from_numpy(seeds.copy()), i)
