"""Gradients of token tables on TensorFlow, which are the sums over all tokens.

There the gradient of a table is a list of rows (`tf.IndexedSlices`), one for each token of a batch,
with an id as often as it occurs. What Keras computes of the squares of gradients (Adam's second
moment, the norm that is clipped) it computes of these rows: the squares of the parts of a sum, not
the square of the sum, so that frequent ids would take too large steps (Keras 3.15).
"""

from __future__ import annotations

from typing import Any

import keras

_FLAG = "_adds_up_rows"


def add_up_rows(optimizer: Any) -> None:
    """Makes an optimiser take gradients of token tables as dense tensors, on TensorFlow.

    Args:
        optimizer: of a compiled model, or None.
    """
    if keras.backend.backend() != "tensorflow" or optimizer is None or hasattr(optimizer, _FLAG):
        return
    import tensorflow as tf

    apply = optimizer.apply

    def apply_sums(gradients: Any, *arguments: Any, **keywords: Any) -> Any:
        dense = [
            tf.convert_to_tensor(gradient) if isinstance(gradient, tf.IndexedSlices) else gradient
            for gradient in gradients
        ]
        return apply(dense, *arguments, **keywords)

    # Attributes of the object, as Keras' step looks `apply` up there.
    object.__setattr__(optimizer, "apply", apply_sums)
    object.__setattr__(optimizer, _FLAG, True)
