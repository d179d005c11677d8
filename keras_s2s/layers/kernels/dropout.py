"""Dropout of a training step: faster than Keras' on a CPU under PyTorch, and of each replica of
TensorFlow for itself.

PyTorch draws a float64 there for each number, one after the other: in a small Transformer a tenth
of a training step. Here four numbers share a draw of 64 bits.

On TensorFlow all replicas of `tf.distribute` have the same seeds, so that Keras drops the same
units in the rows of each.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_s2s.typing import Tensor

#: Values of the 16 bits that decide about a number.
LEVELS = 2**16


def dropout(layer: keras.layers.Dropout, x: Tensor) -> Tensor:
    """Computes `layer(x, training=True)`; on TensorFlow each replica has draws of its own.

    On PyTorch numbers are dropped with the layer's rate rounded to 16 bits, and the others are
    divided by their share. Draws come from PyTorch's own generator, as Keras' do:
    `keras.utils.set_random_seed` and gradient checkpointing work alike.
    """
    if keras.backend.backend() == "tensorflow":
        return _of_replica(layer, x)
    if keras.backend.backend() != "torch" or not _is_plain(layer, x):
        return layer(x, training=True)
    import torch

    dropped = round(layer.rate * LEVELS)
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    bits = draws.view(torch.int16)[: x.numel()].view(x.shape)
    kept = bits >= dropped - LEVELS // 2
    return x * torch.mul(kept, LEVELS / (LEVELS - dropped)).to(x.dtype)


def _is_plain(layer: keras.layers.Dropout, x: Any) -> bool:
    """Returns whether the layer drops single numbers, by PyTorch's generator, on a CPU."""
    return (
        0 < layer.rate < 1
        and layer.seed is None
        and layer.noise_shape is None
        and x.device.type == "cpu"
    )


def _of_replica(layer: keras.layers.Dropout, x: Tensor) -> Tensor:
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    # None while Keras builds the model outside of replicas.
    if context is None or context.num_replicas_in_sync == 1 or not layer.rate:
        return layer(x, training=True)
    number = tf.cast(context.replica_id_in_sync_group, tf.int64) * 2**32
    seed = tf.cast(layer.seed_generator.next(), tf.int64) + tf.stack([number, 0])
    return tf.nn.experimental.stateless_dropout(
        x, rate=layer.rate, noise_shape=layer.noise_shape, seed=seed
    )
