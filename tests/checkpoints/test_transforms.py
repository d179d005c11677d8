"""Every transform: the inverse after it is the identity, and shapes are what it says."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import slow_where_compiled

from keras_s2s.checkpoints.huggingface.transforms import TRANSFORMS

SHAPES = {"same": (3, 5), "transpose": (3, 5), "row": (4,)}


@slow_where_compiled
@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_inverse(name):
    transform = TRANSFORMS[name]
    ours = np.random.default_rng(0).normal(size=SHAPES[name])
    theirs = transform.write(ours)
    assert theirs.shape == transform.shape(ours.shape)
    np.testing.assert_array_equal(transform.read(theirs), ours)
    np.testing.assert_array_equal(transform.write(transform.read(theirs)), theirs)


@slow_where_compiled
def test_transpose_is_one():
    ours = np.arange(6.0).reshape(2, 3)
    assert TRANSFORMS["transpose"].write(ours)[2, 0] == ours[0, 2]
