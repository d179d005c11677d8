"""Whether Python may look at values of tensors while a step is computed.

A look is free where PyTorch computes on the CPU. A GPU would have to be waited for, and a program
that is compiled or recorded has no values.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import keras
import numpy as np

from keras_s2s.typing import Tensor

_RECORDING: ContextVar[bool] = ContextVar("recording", default=False)


def readable(values: Tensor) -> bool:
    """Returns whether Python may look at `values` at no cost."""
    if keras.backend.backend() != "torch" or _RECORDING.get():
        return False
    return bool(values.device.type == "cpu")


def is_number(index: Tensor) -> bool:
    """Returns whether the number of a step is one of Python, by which PyTorch can slice arrays;
    in compiled and recorded programs it is a tensor.
    """
    return keras.backend.backend() == "torch" and isinstance(index, (int, np.integer))


@contextmanager
def recording() -> Iterator[None]:
    """Makes no value readable in this thread, as what is computed here will be repeated with
    others.
    """
    token = _RECORDING.set(True)
    try:
        yield
    finally:
        _RECORDING.reset(token)
