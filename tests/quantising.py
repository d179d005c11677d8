"""Quantises a model as Keras does, in less time."""

from __future__ import annotations

import gc
import warnings
from typing import Any


def quantise(model: Any, mode: str) -> Any:
    """Quantises the layers of a model that can be, and returns the model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras names each layer that has nothing to quantise
        # Keras collects garbage after each layer, which takes half a second where much is imported.
        gc.freeze()
        model.quantize(mode)
    return model
