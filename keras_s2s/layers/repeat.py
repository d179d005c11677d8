"""A loop that keeps its last values only, on every backend.

`layers/recurrent/scan.py` stacks what every step carries, for gradients and for outputs. Where
neither is needed, caches of a whole target would be held once for each step.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import ops

from keras_s2s.typing import Tensor, Tree


def repeat(body: Callable[[Tensor, Tree], Tree], carry: Tree, count: Tensor) -> Tree:
    """Applies `carry = body(index, carry)` for the indices 0 to `count` - 1.

    Args:
        body: from an index, a scalar, and the carried tree to the next one, of the same shapes.
        carry: a tree of tensors.
        count: number of steps, an int or a scalar tensor.

    Returns:
        the carried tree after the last step.
    """

    def step(index: Tensor, carry: Tree) -> Tree:
        new = body(index, carry)
        # Compiled loops keep one type for each leaf.
        return keras.tree.map_structure(
            lambda after, before: ops.cast(after, before.dtype), new, carry
        )

    if keras.backend.backend() != "tensorflow":
        return ops.fori_loop(0, count, step, carry)
    import tensorflow as tf

    def shaped(index: Tensor, carry: Tree) -> tuple[Tensor, Tree]:
        # They keep one static shape as well; inference may know more, or less, inside.
        new = tf.nest.map_structure(
            lambda after, before: tf.ensure_shape(after, before.shape), step(index, carry), carry
        )
        return index + 1, new

    first = (tf.constant(0), carry)
    return tf.while_loop(lambda index, _: index < count, shaped, first)[1]
