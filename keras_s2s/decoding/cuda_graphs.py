"""Checks whether the steps of a model can be run as CUDA graphs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

REMEDY = "leave cuda_graphs out (False)"


def check_cuda_graphs(wanted: bool, variables: Iterable[Any] = ()) -> None:
    """Raises an error where CUDA graphs are asked for and cannot be had.

    Args:
        wanted: whether they are asked for.
        variables: of the model; none checks backend and machine alone.

    Raises:
        ValueError: another backend than PyTorch, no NVIDIA GPU, or weights that are not on one.
    """
    if not isinstance(wanted, bool):
        raise ValueError(f"cuda_graphs={wanted!r}: expected True or False")
    if not wanted:
        return
    backend = keras.backend.backend()
    if backend != "torch":
        raise ValueError(
            f"cuda_graphs=True is for PyTorch, and the running backend is {backend}, which runs "
            f"compiled programs anyway: {REMEDY}"
        )
    import torch

    if not torch.cuda.is_available():
        raise ValueError(
            f"cuda_graphs=True is for NVIDIA GPUs, and PyTorch finds none here: {REMEDY}"
        )
    for variable in variables:
        if not variable.value.is_cuda:
            raise ValueError(
                f"cuda_graphs=True is for NVIDIA GPUs, and the weights of {variable.path} are on "
                f"the device {variable.value.device.type}: {REMEDY}"
            )
