"""Operations of a decoding step, each as fast as its backend allows.

Training and decoding call the same functions, which by default call Keras' layers. During a
generation faster ones can replace them in the running thread: PyTorch runs a step op by op, where
about a hundred `Layer.__call__`s a step, and matrices laid out for training, cost more than the
arithmetic (`prepared_weights.py`); compiled backends multiply faster with a token table that is
already transposed (`transposed_table.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
from keras import ops

from keras_s2s.layers.kernels.dropout import dropout as fast_dropout
from keras_s2s.layers.masks import masked_softmax
from keras_s2s.layers.positions import places_from, sinusoidal_table
from keras_s2s.layers.transformer.relative_positions import RelativePositions, step_biases
from keras_s2s.typing import Tensor

ACTIVATIONS = {
    "relu": keras.activations.relu,
    "gelu": lambda x: keras.activations.gelu(x, approximate=False),
    "gelu_tanh": lambda x: keras.activations.gelu(x, approximate=True),
    "gelu_sigmoid": lambda x: x * ops.sigmoid(1.702 * x),
    "silu": keras.activations.silu,
}


class Kernels:
    """Keras' own operations; subclasses have faster ones."""

    def refresh(self) -> None:
        """Prepares again what was made of weights that have changed; before each generation."""

    def linear(self, dense: keras.layers.Dense, x: Tensor) -> Tensor:
        return dense(x)

    def heads(
        self, denses: Sequence[keras.layers.Dense], x: Tensor, num_heads: int, scale: float | None
    ) -> Sequence[Tensor]:
        first, *rest = [dense(x) for dense in denses]
        parts = [first if scale is None else first * scale, *rest]
        return [self.split_heads(part, num_heads) for part in parts]

    def activated(self, activation: str, dense: keras.layers.Dense, x: Tensor) -> Tensor:
        return ACTIVATIONS[activation](dense(x))

    def logits(self, table: keras.layers.ReversibleEmbedding, x: Tensor, bias: Tensor) -> Tensor:
        return with_bias(table(x, reverse=True), bias)

    def layer_norm(self, norm: keras.layers.Layer, x: Tensor) -> Tensor:
        return norm(x)

    def call(self, layer: keras.layers.Layer, *arguments: Any, **options: Any) -> Tensor:
        return layer(*arguments, **options)

    def sinusoids(self, start: Tensor, length: Tensor, dim: int, layout: str) -> Tensor:
        places = places_from(start, length)
        table = sinusoidal_table(ops.reshape(places, (-1,)), dim, layout)
        return ops.reshape(table, (-1, length, dim)) if len(places.shape) > 1 else table

    def relative_biases(
        self, tables: Sequence[RelativePositions], index: Tensor, places: Tensor, beams: Tensor
    ) -> Iterable[Tensor]:
        return step_biases(tables, index, places, beams)

    def shape(self, x: Tensor) -> tuple[Any, ...]:
        return ops.shape(x)

    def reshape(self, x: Tensor, shape: tuple[Any, ...]) -> Tensor:
        return ops.reshape(x, shape)

    def split_heads(self, x: Tensor, num_heads: int) -> Tensor:
        x = ops.reshape(x, (-1, ops.shape(x)[1], num_heads, x.shape[-1] // num_heads))
        return ops.transpose(x, (0, 2, 1, 3))

    def merge_heads(self, x: Tensor) -> Tensor:
        width = x.shape[1] * x.shape[3]
        return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, ops.shape(x)[2], width))

    def as_bias(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        return mask, None

    def context(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, bias: Tensor
    ) -> Tensor:
        return attention(query, key, value, mask, lambda weights: weights, bias)[0]


_CURRENT: ContextVar[Kernels] = ContextVar("kernels", default=Kernels())  # noqa: B039


@contextmanager
def use(kernels: Kernels) -> Iterator[None]:
    """Makes the functions below use `kernels` in this thread."""
    token = _CURRENT.set(kernels)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def linear(dense: keras.layers.Dense, x: Tensor) -> Tensor:
    """Computes `dense(x)`, for a `Dense` without activation: `[..., D]` -> `[..., N]`."""
    return _CURRENT.get().linear(dense, x)


def heads(
    denses: Sequence[keras.layers.Dense], x: Tensor, num_heads: int, scale: float | None
) -> Sequence[Tensor]:
    """Computes `linear` of the same `x [B, T, Dm]` for each layer, in heads: `[B, H, T, D]`.

    The first is multiplied by `scale`, unless that is None.
    """
    return _CURRENT.get().heads(denses, x, num_heads, scale)


def activated(activation: str, dense: keras.layers.Dense, x: Tensor) -> Tensor:
    """Computes `linear(dense, x)` under one of `ACTIVATIONS`."""
    return _CURRENT.get().activated(activation, dense, x)


def shape(x: Tensor) -> tuple[Any, ...]:
    """Computes `keras.ops.shape`."""
    return _CURRENT.get().shape(x)


def reshape(x: Tensor, shape: tuple[Any, ...]) -> Tensor:
    """Computes `keras.ops.reshape`."""
    return _CURRENT.get().reshape(x, shape)


def logits(table: keras.layers.ReversibleEmbedding, x: Tensor, bias: Tensor) -> Tensor:
    """Multiplies `x [..., D]` with the vectors of a token table, and adds `bias [V]` or None.

    Returns:
        float32 `[..., V]`.
    """
    return _CURRENT.get().logits(table, x, bias)


def layer_norm(norm: keras.layers.Layer, x: Tensor) -> Tensor:
    """Computes `norm(x)`, for a `LayerNormalization` or an `RMSNormalization`."""
    return _CURRENT.get().layer_norm(norm, x)


def call(layer: keras.layers.Layer, *arguments: Any, **options: Any) -> Tensor:
    """Computes `layer(...)`, without Keras' work around a call where that has no effect."""
    return _CURRENT.get().call(layer, *arguments, **options)


def sinusoids(start: Tensor, length: Tensor, dim: int, layout: str = "interleaved") -> Tensor:
    """Returns sinusoidal position vectors from position `start` on: `[length, dim]`; `[B, length,
    dim]` from `start [B]` on.
    """
    return _CURRENT.get().sinusoids(start, length, dim, layout)


def relative_biases(
    tables: Sequence[RelativePositions], index: Tensor, places: Tensor, beams: Tensor
) -> Iterable[Tensor]:
    """Computes `relative_positions.step_biases`: float32 `[1, H, 1, places * K]` of each table."""
    return _CURRENT.get().relative_biases(tables, index, places, beams)


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """Splits heads: `[B, T, H*D]` -> `[B, H, T, D]`."""
    return _CURRENT.get().split_heads(x, num_heads)


def merge_heads(x: Tensor) -> Tensor:
    """Merges heads: `[B, H, T, D]` -> `[B, T, H*D]`."""
    return _CURRENT.get().merge_heads(x)


def as_bias(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Converts a mask that several layers use into the form that `context` takes: `(mask or None,
    bias or None)`.
    """
    return _CURRENT.get().as_bias(mask)


def context(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Computes the context of `attention` alone, without weights: `[B, H, T, D]`."""
    return _CURRENT.get().context(query, key, value, mask, bias)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    dropout: Callable[[Any], Any],
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Computes attention with scaled queries.

    Args:
        query: `[B, H, T, D]`, scaled.
        key, value: `[B, H, S, D]`.
        mask: bool, broadcastable to `[B, H, T, S]`, True = attend; or None.
        dropout: applied to the weights.
        bias: float32, broadcastable to `[B, H, T, S]`, added to the scores; or None.

    Returns:
        `(context [B, H, T, D], weights [B, H, T, S])`.
    """
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
    if bias is not None:
        scores = ops.cast(scores, "float32") + bias
    weights = masked_softmax(scores, mask)
    if bias is not None:
        weights = ops.cast(weights, value.dtype)
    return ops.matmul(dropout(weights), value), weights


def dropout(layer: keras.layers.Dropout, x: Tensor, training: bool | None) -> Tensor:
    """Computes `layer(x)`, or returns `x` where it is known not to be training."""
    if training is False:
        return x
    return fast_dropout(layer, x) if training is True else layer(x, training=training)


def with_bias(logits: Tensor, bias: Tensor) -> Tensor:
    """Returns attention logits in float32, plus a bias or None."""
    logits = ops.cast(logits, "float32")
    return logits if bias is None else logits + ops.cast(bias, "float32")
