"""The base of the layers here: masks are explicit arguments."""

from __future__ import annotations

from typing import Any

import keras


class ExplicitMaskLayer(keras.layers.Layer):
    """A layer that takes its masks as call arguments and passes none on behind the scenes.

    Keras attaches implicit masks to the outputs of some layers. Here every mask has a name and
    is handed over in the open, so implicit ones are neither needed nor propagated.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None
