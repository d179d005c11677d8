"""Chooses the driver and the kernels of the running backend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_s2s.decoding.drafted_loop import DraftedLoop
from keras_s2s.decoding.drivers.driver import Driver
from keras_s2s.decoding.drivers.eager_driver import EagerDriver
from keras_s2s.decoding.drivers.jax_driver import JaxDriver
from keras_s2s.decoding.drivers.recorded_driver import RecordedDriver
from keras_s2s.decoding.drivers.tensorflow_driver import TensorFlowDriver
from keras_s2s.decoding.loop import Loop, Moves
from keras_s2s.layers.kernels.bfloat16_weights import BFloat16Weights
from keras_s2s.layers.kernels.int8_weights import Int8Weights
from keras_s2s.layers.kernels.operations import Kernels
from keras_s2s.layers.kernels.prepared_weights import PreparedWeights
from keras_s2s.layers.kernels.transposed_table import TransposedTable
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.sampler import Sampler

DRIVERS: dict[str, type[Driver]] = {
    "torch": EagerDriver,
    "jax": JaxDriver,
    "tensorflow": TensorFlowDriver,
}


#: The kernels of PyTorch by compute type.
PREPARED: dict[str | None, type[PreparedWeights]] = {
    None: PreparedWeights,
    "int8": Int8Weights,
    "bfloat16": BFloat16Weights,
}


#: More bytes of weights than these are read from memory at each step, not from a cache.
CACHED_BYTES = 2**27


def make_kernels(
    moves: Moves, compute_type: str | None = None, variables: Sequence[Any] = ()
) -> Kernels:
    """Returns the kernels with which the running backend decodes fastest.

    Args:
        moves: the network.
        variables: every variable of it.
        compute_type: how matrix products are computed; None: in the weights' own type. See
            `compute_types.py` for where the others may be used.
    """
    if keras.backend.backend() == "torch":
        size = sum(math.prod(variable.shape) for variable in variables) * 4
        return PREPARED[compute_type](from_memory=size > CACHED_BYTES)
    return TransposedTable(getattr(moves, "tied_table", None))


def make_driver(
    moves: Moves,
    sampler: Sampler,
    plan: Plan,
    variables: list[Any],
    prepared: Kernels | None = None,
    *,
    records: bool = False,
) -> Driver:
    """Returns the driver of the running backend.

    Args:
        variables: every variable of the network.
        prepared: what `make_kernels` made, to be shared by the drivers of a network.
        records: on PyTorch, repeat recorded steps, wherever they can be recorded: not with rules
            that Python computes on the host, nor with drafts, whose steps differ in length.
    """
    loop = (DraftedLoop if sampler.drafts else Loop)(moves, sampler, plan)
    kernels = prepared if prepared is not None else make_kernels(moves, None, variables)
    driver = DRIVERS[keras.backend.backend()]
    if records and not loop.looks_for_room and not any(r.on_host for r in plan.processors):
        driver = RecordedDriver
    return driver(loop, variables, kernels)
