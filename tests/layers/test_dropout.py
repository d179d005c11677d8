"""Dropout of a training step against what it says: shares, scale, gradients and seeds."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops
from small_models import to_numpy

from keras_s2s.layers.kernels.operations import dropout

SHAPE = (50, 41, 13)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_shares_and_scale(rate: float) -> None:
    keras.utils.set_random_seed(4)
    layer = keras.layers.Dropout(rate)
    found = to_numpy(dropout(layer, ops.ones(SHAPE), True))
    kept = found != 0
    # Three standard deviations of a share of so many independent draws.
    bound = 3 * (rate * (1 - rate) / found.size) ** 0.5
    assert abs((1 - kept.mean()) - rate) < bound
    np.testing.assert_allclose(found[kept], 1 / (1 - rate), rtol=1e-4)
    for axis in range(3):  # neighbours are dropped independently of each other
        both = np.moveaxis(kept, axis, 0)
        together = (both[1:] & both[:-1]).mean()
        assert abs(together - (1 - rate) ** 2) < 3 * bound


def test_seeds() -> None:
    x = ops.ones(SHAPE)
    draws = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        layer = keras.layers.Dropout(0.3)
        draws.append([to_numpy(dropout(layer, x, True)) for _ in range(2)])
    (first, second), again, (other, _) = draws
    np.testing.assert_array_equal(first, again[0])
    np.testing.assert_array_equal(second, again[1])
    assert (first != second).any() and (first != other).any()


def test_a_layer_with_a_seed_draws_as_keras_does() -> None:
    x = ops.ones(SHAPE)
    ours = to_numpy(dropout(keras.layers.Dropout(0.3, seed=7), x, True))
    keras_own = to_numpy(keras.layers.Dropout(0.3, seed=7)(x, training=True))
    np.testing.assert_array_equal(ours, keras_own)


def test_nothing_is_dropped_outside_training() -> None:
    x = ops.ones(SHAPE)
    layer = keras.layers.Dropout(0.3)
    for training in (False, None):
        assert (to_numpy(dropout(layer, x, training)) == 1).all()
    assert (to_numpy(dropout(keras.layers.Dropout(0.0), x, True)) == 1).all()


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch has a form of its own")
def test_gradients_and_half_precision() -> None:
    import torch

    x = torch.ones(SHAPE, requires_grad=True)
    found = dropout(keras.layers.Dropout(0.3), x, True)
    found.sum().backward()
    assert torch.equal(x.grad, found.detach())
    half = dropout(keras.layers.Dropout(0.3), x.detach().to(torch.bfloat16), True)
    assert half.dtype == torch.bfloat16


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow has replicas")
def test_replicas_have_draws_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    import tensorflow as tf

    draws = []
    for number in (0, 1, 1):
        keras.utils.set_random_seed(4)
        layer = keras.layers.Dropout(0.3)
        replica = types.SimpleNamespace(num_replicas_in_sync=2, replica_id_in_sync_group=number)
        with monkeypatch.context() as patch:
            patch.setattr(tf.distribute, "get_replica_context", lambda it=replica: it)
            draws.append([to_numpy(dropout(layer, ops.ones(SHAPE), True)) for _ in range(2)])
    first, second, again = draws
    for found in (*first, *second):
        assert abs((found == 0).mean() - 0.3) < 3 * (0.3 * 0.7 / found.size) ** 0.5
        np.testing.assert_allclose(found[found != 0], 1 / 0.7, rtol=1e-4)
    np.testing.assert_array_equal(second, again)
    for found in (first[1], second[0], second[1]):
        both = ((first[0] != 0) & (found != 0)).mean()
        assert abs(both - 0.7**2) < 0.02, "drops what another one drops"
