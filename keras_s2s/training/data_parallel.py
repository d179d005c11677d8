"""Data parallel training: each batch is divided among devices, or among processes on PyTorch.

A step is the one that a single device would make on the whole batch: the loss is the mean over the
tokens of all replicas, however they lie among them.

- JAX: `keras.distribution.DataParallel`. A compiled step sees whole batches, and XLA divides the
  work, so that nothing here has to know of it.
- TensorFlow: `tf.distribute.MirroredStrategy`. A step runs once for each replica, and Keras divides
  its loss by the number of replicas. The gradient of a replica with n of N tokens is therefore
  multiplied with `replicas * n / N`; the optimiser takes the sums.
- PyTorch: Keras has nothing, so that processes of `torchrun` add up gradients that are multiplied
  with `n / N`, and the sums of metrics.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import keras
from keras import ops

from keras_s2s.data.batches import Batches
from keras_s2s.training.optimizers.inner_optimizers import inner_optimizers
from keras_s2s.typing import Tensor

#: Number of devices or processes of `data_parallel`. Of the process, as distributions of Keras and
#: process groups are; TensorFlow runs replicas in threads, which have contexts of their own.
_replicas = 1

#: Whether a training step of one of several processes is running, whose sums are added up.
_IN_STEP: ContextVar[bool] = ContextVar("in_step", default=False)


@contextlib.contextmanager
def data_parallel(devices: int) -> Iterator[None]:
    """Trains models that are made and compiled within it on several devices.

    On PyTorch devices are processes, which `torchrun --nproc-per-node=DEVICES` starts; each of them
    runs the same program with the same seed.

    Rows of a batch must be divisible by the number of devices: `row_multiple=DEVICES` of `Batches`.

    Args:
        devices: how many; 1 changes nothing.

    Raises:
        ValueError: there are fewer devices or processes, with how to get them; several hosts on
            TensorFlow.

    Example:
        >>> with data_parallel(1):
        ...     model.compile("adam")
        ...     model.fit(batches)
    """
    global _replicas
    if isinstance(devices, bool) or not isinstance(devices, int) or devices < 1:
        raise ValueError(f"data_parallel({devices!r}): expected a number of devices, 1 or more")
    if devices == 1:
        yield
        return
    scope = {"jax": _of_jax, "tensorflow": _of_tensorflow, "torch": _of_torch}
    with scope[keras.backend.backend()](devices):
        before, _replicas = _replicas, devices
        try:
            yield
        finally:
            _replicas = before


def _of_jax(devices: int) -> Any:
    found = keras.distribution.list_devices()
    if len(found) < devices:
        raise ValueError(
            f"data_parallel({devices}): JAX has {len(found)} of them ({', '.join(found)}); set "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={devices} before it is imported to "
            "have several on a CPU, or ask for fewer"
        )
    # Every process sees its own batches.
    distribution = keras.distribution.DataParallel(
        devices=found[:devices], auto_shard_dataset=False
    )
    return distribution.scope()


def _of_tensorflow(devices: int) -> Any:
    import tensorflow as tf

    if _has_several_workers(os.environ.get("TF_CONFIG", "")):
        raise ValueError(f"data_parallel({devices}): {_SEVERAL_HOSTS}")
    kind = "GPU" if len(tf.config.list_physical_devices("GPU")) >= devices else "CPU"
    if kind == "CPU":
        physical = tf.config.list_physical_devices("CPU")[0]
        if len(tf.config.get_logical_device_configuration(physical) or [None]) < devices:
            parts = [tf.config.LogicalDeviceConfiguration() for _ in range(devices)]
            try:
                tf.config.set_logical_device_configuration(physical, parts)
            except RuntimeError:
                raise ValueError(
                    f"data_parallel({devices}): there are fewer GPUs, and TensorFlow has begun to "
                    "work with one CPU; enter data_parallel before anything else, or ask for fewer"
                ) from None
    strategy = tf.distribute.MirroredStrategy([f"{kind}:{i}" for i in range(devices)])
    return strategy.scope()


#: Shown by the minimal case in tests/training/multi_worker_case.py.
_SEVERAL_HOSTS = (
    "TensorFlow on several hosts (MultiWorkerMirroredStrategy, TF_CONFIG) fails in fit of Keras 3 "
    "(keras#20585); train on one host, or on PyTorch with torchrun"
)


def _has_several_workers(config: str) -> bool:
    """Returns whether TensorFlow's description of a cluster, in JSON, has more than one task that
    trains.
    """
    try:
        cluster = json.loads(config)["cluster"]
        return sum(len(cluster.get(kind, ())) for kind in ("chief", "worker")) > 1
    except (ValueError, KeyError, TypeError, AttributeError):
        return False  # no cluster; what is wrong with it TensorFlow says itself


@contextlib.contextmanager
def _of_torch(devices: int) -> Iterator[None]:
    import torch.distributed as distributed

    begun_here = False
    if not distributed.is_initialized():
        if "WORLD_SIZE" not in os.environ:
            raise ValueError(
                f"data_parallel({devices}): PyTorch trains in processes; start them with torchrun "
                f"--nproc-per-node={devices} PROGRAM"
            )
        # One process may work alone for hours: a teacher generates, a model is measured.
        distributed.init_process_group("gloo", timeout=timedelta(days=7))
        begun_here = True
    if distributed.get_world_size() != devices:
        raise ValueError(
            f"data_parallel({devices}): there are {distributed.get_world_size()} processes; start "
            f"{devices} of them, or ask for as many as there are"
        )
    try:
        yield
    finally:
        if begun_here:
            distributed.destroy_process_group()


def replicas() -> int:
    """Returns the number of devices, or processes, that a batch is divided among."""
    return _replicas


def check_parallel(model: Any) -> None:
    """Raises an error for what replicas of a compiled model cannot train as one device would.

    Raises:
        ValueError: with what it is.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        several = tf.distribute.MultiWorkerMirroredStrategy
        if isinstance(model.distribute_strategy, several):
            raise ValueError(f"fit: {_SEVERAL_HOSTS}")
    if replicas() == 1 or keras.backend.backend() == "jax":
        return
    from keras_s2s.training.losses.metrics import TokenMean

    causes = {
        "teacher_forcing": model._sampling is not None,
        "r_drop": bool(model._r_drop),
        "gradient_accumulation_steps": model._accumulation is not None
        and keras.backend.backend() == "tensorflow",
        "metrics of other classes than the default ones": keras.backend.backend() == "torch"
        and not all(isinstance(metric, TokenMean) for metric in _compiled_metrics(model)),
    }
    for what, is_used in causes.items():
        if is_used:
            raise ValueError(
                f"data_parallel({replicas()}) on {keras.backend.backend()}: {what} would differ "
                "from one device; leave it out, or train on JAX"
            )


def _compiled_metrics(model: Any) -> list[Any]:
    """Returns the metrics that a model was compiled with, be they built or not."""
    compiled = model._compile_metrics
    if compiled is None:
        return []
    given = compiled._user_metrics, compiled._user_weighted_metrics
    return [metric for metric in keras.tree.flatten(given) if metric is not None]


def check_rows(data: Any, what: str) -> None:
    """Raises an error for batches that cannot be divided among the replicas.

    Args:
        data: for `fit` or `evaluate`.
        what: names it in the message.

    Raises:
        ValueError: rows that are no multiple of the replicas; on PyTorch, data that are no
            `Batches`.
    """
    count = replicas()
    if count == 1:
        return
    if not isinstance(data, Batches):
        if keras.backend.backend() == "torch" and what == "x":
            raise ValueError(f"data_parallel({count}): {what} is divided where it is a Batches")
        return
    uneven = [shape for shape in data.shapes if shape[0] % count]
    if uneven:
        raise ValueError(
            f"data_parallel({count}): {what} has batches of {uneven[0][0]} rows, which {count} "
            f"replicas cannot divide evenly; pass row_multiple={count} to Batches"
        )


# --------------------------------------------------------------------------------------
# Within a step
# --------------------------------------------------------------------------------------


def summed(value: Tensor) -> Tensor:
    """Returns the sum of a scalar over all replicas, within a step of one of them."""
    if replicas() == 1 or keras.backend.backend() == "jax":
        return value
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        # None while Keras builds the model outside of replicas.
        return value if context is None else context.all_reduce("sum", value)
    import torch.distributed as distributed

    total = value.detach().clone()
    distributed.all_reduce(total)
    return total


def gradient_share(tokens: Tensor, total: Tensor) -> Tensor | None:
    """Returns what the gradient of a replica is multiplied with; None where it stays as it is.

    Args:
        tokens: of the replica, a scalar.
        total: of all replicas.
    """
    if replicas() == 1 or keras.backend.backend() == "jax":
        return None
    # Keras divides the losses of TensorFlow's replicas by their number.
    scale = replicas() if keras.backend.backend() == "tensorflow" else 1
    return ops.divide_no_nan(scale * tokens, total)


def loss_of_replica(loss: Tensor) -> Tensor:
    """Returns the loss of a fused step as Keras' own losses return it: on TensorFlow divided by
    the number of replicas, which Keras multiplies again where it logs the loss.
    """
    if replicas() == 1 or keras.backend.backend() != "tensorflow":
        return loss
    return loss / replicas()


def sums_of_step(*values: Tensor) -> tuple[Tensor, ...]:
    """Returns sums over all processes, of PyTorch within a training step; else the values."""
    if not _IN_STEP.get():
        return values
    return tuple(map(summed, values))


@contextlib.contextmanager
def parallel_step() -> Iterator[None]:
    """Makes the training step within it one of all processes of PyTorch."""
    if replicas() == 1 or keras.backend.backend() != "torch":
        yield
        return
    token = _IN_STEP.set(True)
    try:
        with _own_draws():
            yield
    finally:
        _IN_STEP.reset(token)


@contextlib.contextmanager
def _own_draws() -> Iterator[None]:
    """Makes dropout differ between the processes of PyTorch within it.

    They begin with the same seed, and would drop the same units of their shares. Afterwards their
    random states are equal again, so that a checkpoint has the one of all of them.
    """
    import torch
    import torch.distributed as distributed

    seed = int(torch.randint(2**62, ()))
    with torch.random.fork_rng():
        torch.manual_seed(seed + distributed.get_rank())
        yield


#: Attribute of an optimiser that takes sums.
_SUMS = "_sums_gradients"


def sum_gradients(optimizer: Any) -> None:
    """Makes an optimiser take the sums of the gradients of all replicas.

    Keras on TensorFlow sums them, too, but only after it has clipped those of each replica.

    Args:
        optimizer: of a model that is compiled within `data_parallel`.
    """
    backend = keras.backend.backend()
    if replicas() == 1 or backend == "jax" or optimizer is None or hasattr(optimizer, _SUMS):
        return
    object.__setattr__(optimizer, _SUMS, True)  # of one that is compiled with again, once
    apply = optimizer.apply
    add_up = _of_processes if backend == "torch" else _of_replicas

    def apply_sums(gradients: Any, *arguments: Any, **keywords: Any) -> Any:
        return apply(add_up(list(gradients)), *arguments, **keywords)

    # An attribute of the object, as Keras' step looks `apply` up there.
    object.__setattr__(optimizer, "apply", apply_sums)
    if backend == "tensorflow":
        for each in inner_optimizers(optimizer):
            object.__setattr__(each, "_all_reduce_sum_gradients", lambda pairs: pairs)


def _of_processes(gradients: list[Any]) -> list[Any]:
    if _IN_STEP.get():
        import torch.distributed as distributed

        for gradient in gradients:
            if gradient is not None:
                distributed.all_reduce(gradient)
    return gradients


def _of_replicas(gradients: list[Any]) -> list[Any]:
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None:
        return gradients
    places = [i for i, gradient in enumerate(gradients) if gradient is not None]
    # Those of token tables are slices, which the sum would not be.
    dense = [tf.convert_to_tensor(gradients[i]) for i in places]
    for i, total in zip(places, context.all_reduce("sum", dense), strict=True):
        gradients[i] = total
    return gradients


@contextlib.contextmanager
def share_of_rows(data: Any) -> Iterator[None]:
    """Makes a process of PyTorch read its share of each batch within it.

    Args:
        data: `Batches`; other data are left alone.
    """
    if replicas() == 1 or keras.backend.backend() != "torch" or not isinstance(data, Batches):
        yield
        return
    import torch.distributed as distributed

    data.share = (distributed.get_rank(), replicas())
    try:
        yield
    finally:
        data.share = (0, 1)


def whole(data: Any, shared: Any) -> Any:
    """Returns validation data of which each process reads all: a copy, where they are the training
    data.
    """
    return copy.copy(data) if data is shared and isinstance(data, Batches) else data


def first_replica(values: Any) -> Any:
    """Returns what the first replica of TensorFlow got of a batch that was divided."""
    import tensorflow as tf

    def first(value: Any) -> Any:
        is_divided = isinstance(value, tf.distribute.DistributedValues)
        return value.values[0] if is_divided else value

    return keras.tree.map_structure(first, values)
