"""Entries of rows: as NumPy finds and puts them, whatever the number of a step is."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from keras_s2s.samplers.gather import gather, put

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["int32", "float32", "bool"])
@pytest.mark.parametrize("shape", [(3, 7), (3, 7, 2), (3, 7, 2, 4)], ids=str)
def test_gather(shape, dtype):
    values = RNG.integers(0, 9, shape).astype(dtype)
    places = RNG.integers(0, 7, (3, 5)).astype("int32")
    found = ops.convert_to_numpy(
        gather(ops.convert_to_tensor(values), ops.convert_to_tensor(places))
    )
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(
        found, np.stack([v[p] for v, p in zip(values, places, strict=True)])
    )


@pytest.mark.parametrize("kind", ["number", "tensor"])
@pytest.mark.parametrize("dtype", ["int32", "float32"])
@pytest.mark.parametrize("shape", [(4,), (3, 2)], ids=str)
def test_put(shape, dtype, kind):
    before = RNG.integers(0, 9, (*shape, 6)).astype(dtype)
    buffer = ops.convert_to_tensor(before)
    for index in (-1, 0, 3, 5):
        value = RNG.integers(10, 19, shape).astype("int32")
        expected = before.copy()
        if index >= 0:
            expected[..., index] = value
        place = index if kind == "number" else ops.convert_to_tensor(index, "int32")
        found = ops.convert_to_numpy(put(buffer, ops.convert_to_tensor(value), place))
        assert found.dtype == before.dtype
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(ops.convert_to_numpy(buffer), before)
