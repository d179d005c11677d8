"""A loop over time with gradients, on every backend.

The one place that asks which backend runs: `keras.ops.scan` fails on TensorFlow where the
number of steps is unknown while tracing (Keras 3.15), as it is for batches of several lengths.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import ops

from keras_s2s.typing import Tree


def scan(body: Callable[[Tree, Tree], Tree], carry: Tree, xs: Tree) -> Tree:
    """Applies `carry = body(carry, x)` along the first axis of `xs`.

    Args:
        body: from the carried tree and one slice of `xs` to the next carried tree.
        carry: a tree of tensors.
        xs: a tree of tensors `[T, ...]`.

    Returns:
        every carried tree stacked, leaves `[T, ...]`.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.scan(body, xs, initializer=carry)

    def both(carry: Tree, x: Tree) -> tuple[Tree, Tree]:
        carry = body(carry, x)
        return carry, carry

    return ops.scan(both, carry, xs)[1]
