"""An epoch whose labels are all ignored is named, where data are read batch by batch."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from small_models import covered, make_model, shrunken_preset

from keras_s2s.data import Batches

PAIRS = [([5, 6, 3], [7, 3]), ([8, 3], [9, 5, 3])]


class Data(keras.utils.PyDataset):
    """One batch an epoch, of which all labels or none are ignored."""

    def __init__(self, batch, is_empty):
        super().__init__()
        x, y, weights = batch
        self.batch = x, np.full_like(y, -100) if is_empty else y, weights

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


def warned(is_empty, validates=False):
    """Messages of a `fit` of the epochs 3 to 5."""
    model = make_model(shrunken_preset("transformer_tiny"))
    batch = Batches(PAIRS, special_ids=model.special_ids, batch_size=2)[0]
    validation = Data(batch, False) if validates else None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(
            Data(batch, is_empty),
            validation_data=validation,
            initial_epoch=2,
            epochs=5,
            verbose=0,
        )
    return [str(w.message) for w in caught if "no label" in str(w.message)]


@pytest.mark.parametrize("validates", covered([False, True], [True]))
def test_the_first_empty_epoch_is_named_once(validates):
    (message,) = warned(True, validates)
    assert message.startswith("epoch 3: nothing was trained")
    assert "-100" in message


@pytest.mark.parametrize("validates", covered([False, True], [False]))
def test_nothing_is_said_where_labels_count(validates):
    assert warned(False, validates) == []
