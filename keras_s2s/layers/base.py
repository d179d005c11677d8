"""Base class of layers that take masks as explicit arguments."""

from __future__ import annotations

from typing import Any

import keras


class ExplicitMaskLayer(keras.layers.Layer):
    """Base class of layers that take masks as call arguments and propagate no implicit ones.

    Keras attaches implicit masks to the outputs of some layers. Here every mask is an argument, so
    that implicit ones are neither needed nor propagated.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None
