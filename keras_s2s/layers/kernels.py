"""The operations that a decoding step is made of, each as fast as its backend allows.

Training and decoding call the same functions. By default they are Keras' layers. PyTorch runs
a step op by op, and there a step of a Transformer with six layers would spend milliseconds in
about a hundred `Layer.__call__`s, and multiply with matrices laid out for training. So while
weights are prepared (`prepared_weights.py`) the same operations go straight to PyTorch's. On
JAX and TensorFlow a step is compiled, and Keras' layers leave no trace in it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_s2s.layers.masks import masked_softmax
from keras_s2s.layers.positions import sinusoidal_table

if TYPE_CHECKING:
    from keras_s2s.layers.prepared_weights import PreparedWeights

#: The weights of the generation that is running in this thread.
PREPARED: ContextVar[PreparedWeights | None] = ContextVar("prepared_weights", default=None)


def linear(dense: keras.layers.Dense, x: Any) -> Any:
    """`dense(x)`, for a `Dense` without activation: `[..., D]` -> `[..., N]`."""
    prepared = PREPARED.get()
    return dense(x) if prepared is None else prepared.linear(dense, x)


def logits(table: keras.layers.ReversibleEmbedding, x: Any, bias: Any) -> Any:
    """Products of `x [..., D]` with the vectors of a token table, plus `bias [V]`: `[..., V]`."""
    prepared = PREPARED.get()
    if prepared is not None and prepared.is_plain(table):
        return prepared.logits(table, x, bias)
    return with_bias(table(x, reverse=True), bias)


def with_bias(logits: Any, bias: Any) -> Any:
    """Logits in float32 whatever they were computed in, plus a bias or None."""
    logits = ops.cast(logits, "float32")
    return logits if bias is None else logits + ops.cast(bias, "float32")


def layer_norm(norm: keras.layers.LayerNormalization, x: Any) -> Any:
    """`norm(x)`."""
    prepared = PREPARED.get()
    return norm(x) if prepared is None else prepared.layer_norm(norm, x)


def sinusoids(start: Any, length: Any, dim: int) -> Any:
    """Sinusoidal position vectors of the places from `start` on: `[length, dim]`."""
    prepared = PREPARED.get()
    if prepared is None:
        places = ops.arange(length, dtype="int32") + ops.cast(start, "int32")
        return sinusoidal_table(places, dim)
    return prepared.sinusoids(start, length, dim)


def direct(layer: keras.layers.Layer, *arguments: Any, **options: Any) -> Any:
    """`layer(...)`, without what Keras does around a call where that has no effect."""
    prepared = PREPARED.get()
    if prepared is None or not prepared.is_plain(layer):
        return layer(*arguments, **options)
    return layer.call(*arguments, **options)


def dropout(layer: keras.layers.Dropout, x: Any, training: bool | None) -> Any:
    """`layer(x)`, or `x` where it is known not to be training."""
    return x if training is False else layer(x, training=training)


def split_heads(x: Any, num_heads: int) -> Any:
    """`[B, T, H*D]` -> `[B, H, T, D]`."""
    head_dim = x.shape[-1] // num_heads
    if PREPARED.get() is not None:
        return x.unflatten(-1, (num_heads, head_dim)).transpose(1, 2)
    x = ops.reshape(x, (-1, ops.shape(x)[1], num_heads, head_dim))
    return ops.transpose(x, (0, 2, 1, 3))


def merge_heads(x: Any) -> Any:
    """`[B, H, T, D]` -> `[B, T, H*D]`."""
    if PREPARED.get() is not None:
        return x.transpose(1, 2).flatten(2)
    width = x.shape[1] * x.shape[3]
    return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, ops.shape(x)[2], width))


def attention(query: Any, key: Any, value: Any, mask: Any, dropout: Any) -> tuple[Any, Any]:
    """Attend with scaled queries.

    Args:
        query: `[B, H, T, D]`, scaled.
        key, value: `[B, H, S, D]`.
        mask: bool, broadcastable to `[B, H, T, S]`, True = attend; or None.
        dropout: applied to the weights.

    Returns:
        `(context [B, H, T, D], weights [B, H, T, S])`.
    """
    weights = masked_softmax(ops.matmul(query, ops.swapaxes(key, -1, -2)), mask)
    return ops.matmul(dropout(weights), value), weights


def context(query: Any, key: Any, value: Any, mask: Any) -> Any:
    """What `attention` finds, where nobody asks for the weights: `[B, H, T, D]`."""
    prepared = PREPARED.get()
    if prepared is None:
        return attention(query, key, value, mask, lambda weights: weights)[0]
    return prepared.context(query, key, value, mask)
