"""Finds the first operation of a pass whose result is not finite, after an error.

It computes the same results, and checks those of every product and normalisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_s2s.layers.kernels.operations import Kernels
from keras_s2s.typing import Tensor, Tree


class FiniteChecks(Kernels):
    """Keras' own operations, which remember the first result that is not finite.

    Attributes:
        found: the path of its layer, or a description of what comes before it; None where all is
            finite.
        dtype: the type that it computes in.

    Example:
        >>> from keras_s2s.layers.kernels import operations
        >>> checks = FiniteChecks()
        >>> with operations.use(checks):
        ...     memory = model.network.encode(inputs)
        >>> checks.found is None  # else, for example, "encoder/layer_0/feed_forward/inner"
        True
    """

    def __init__(self) -> None:
        self.found: str | None = None
        self.dtype: str | None = None

    def _look(self, layer: keras.layers.Layer, given: Any, result: Any) -> Tensor:
        if self.found is None and not is_finite(result):
            self.dtype = layer.compute_dtype
            # What enters is the work of something that is not looked at: a sum, attention.
            self.found = layer.path if is_finite(given) else f"what enters {layer.path}"
        return result

    def linear(self, dense: keras.layers.Dense, x: Tensor) -> Tensor:
        return self._look(dense, x, super().linear(dense, x))

    def heads(
        self, denses: Sequence[keras.layers.Dense], x: Tensor, num_heads: int, scale: float | None
    ) -> Sequence[Tensor]:
        for dense in denses:
            self.linear(dense, x)
        return super().heads(denses, x, num_heads, scale)

    def activated(self, activation: str, dense: keras.layers.Dense, x: Tensor) -> Tensor:
        return self._look(dense, x, super().activated(activation, dense, x))

    def logits(self, table: keras.layers.ReversibleEmbedding, x: Tensor, bias: Tensor) -> Tensor:
        return self._look(table, x, super().logits(table, x, bias))

    def layer_norm(self, norm: keras.layers.Layer, x: Tensor) -> Tensor:
        return self._look(norm, x, super().layer_norm(norm, x))


def is_finite(tree: Tree) -> bool:
    """Returns whether every float in a tree of tensors is finite."""
    return all(
        bool(ops.all(ops.isfinite(leaf)))
        for leaf in keras.tree.flatten(tree)
        if keras.backend.is_float_dtype(keras.backend.standardize_dtype(leaf.dtype))
    )
