"""Gradients of a token table under a policy that computes in half precision."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from small_models import covered, randomise, to_numpy
from training.small_training import small_model

from keras_s2s import Seq2SeqLM

ROWS, LENGTH = 32, 20
FREQUENT = 5


@pytest.fixture(scope="module")
def exact() -> np.ndarray:
    return gradient("float32", True)


def gradient(dtype: str, fused: bool) -> np.ndarray:
    """What a step of SGD adds to the vector of an id that all positions of the sources are."""
    model = Seq2SeqLM(small_model().preset, dtype=dtype)
    randomise(model, seed=1)
    model.compile(keras.optimizers.SGD(1.0), fused_loss=fused)
    table = model.network.frontend.table.embeddings
    before = to_numpy(table)[FREQUENT].copy()
    mask = np.ones((ROWS, LENGTH), bool)
    inputs = {
        "encoder_token_ids": np.full((ROWS, LENGTH), FREQUENT, "int32"),
        "encoder_padding_mask": mask,
        "decoder_token_ids": np.full((ROWS, LENGTH), 7, "int32"),
        "decoder_padding_mask": mask,
    }
    model.train_on_batch(inputs, np.full((ROWS, LENGTH), 9, "int32"))
    return to_numpy(table)[FREQUENT] - before


@pytest.mark.parametrize(
    ("dtype", "fused"),
    covered(
        [("mixed_bfloat16", True), ("mixed_bfloat16", False), ("mixed_float16", False)],
        [("mixed_bfloat16", True), ("mixed_bfloat16", False)],
    ),
)
def test_the_gradient_of_a_frequent_id(dtype: str, fused: bool, exact: np.ndarray) -> None:
    """Summed up in bfloat16, hundreds of small numbers come to a third of what they are."""
    found = gradient(dtype, fused)
    assert np.linalg.norm(found - exact) < 0.05 * np.linalg.norm(exact)
