"""Batches of sources are padded by what their values are."""

from __future__ import annotations

import numpy as np
import pytest

from keras_s2s.layers.contracts import SOURCE_MASK, Frontend, SourceInput


class Values(Frontend):
    """A frontend of sources of one dtype and shape."""

    def __init__(self, dtype: str, shape: tuple[int, ...]) -> None:
        self.input = SourceInput("values", dtype, shape)

    def __call__(self, inputs):
        return inputs["values"], inputs[SOURCE_MASK]


@pytest.mark.parametrize(
    ("dtype", "shape", "empty"),
    [("int32", (), 7), ("uint8", (2,), 7), ("float32", (2,), 0), ("float16", (), 0)],
)
def test_ids_are_padded_with_pad_and_other_numbers_with_zero(dtype, shape, empty):
    rows = [np.ones((length, *shape), dtype) for length in (3, 1)]
    batch = Values(dtype, shape).batch(rows, size=4, length=5, pad=7)
    values, mask = batch["values"], batch[SOURCE_MASK]
    assert values.dtype == dtype and values.shape == (4, 5, *shape)
    assert mask.sum(axis=1).tolist() == [3, 1, 3, 3]  # rows that are added repeat the first
    assert (values[mask] == 1).all()
    assert (values[~mask] == empty).all() and (~mask).any()
