"""The compute types that the running backend and the processor have, and a model for them."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import pytest

import keras_s2s as s2s
from keras_s2s.decoding.compute_types import check_available
from keras_s2s.options.compute_types import COMPUTE_TYPES

#: Learnt by heart by `trained_model`.
PAIRS = [
    ("ein Hund", "a dog"),
    ("der Hund", "the dog"),
    ("der schwarze Hund", "the black dog"),
    ("eine Katze", "a cat"),
    ("die Katze schläft", "the cat sleeps"),
    ("zwei Hunde rennen", "two dogs run"),
]


def is_here(compute_type: str) -> bool:
    if keras.backend.backend() == "torch" and keras.ops.ones(1).device.type != "cpu":
        return False
    try:
        check_available(compute_type)
    except ValueError:
        return False
    return True


#: All of them, as parameters of a test; skipped where they are not there.
EVERY_TYPE = [
    pytest.param(
        name, marks=pytest.mark.skipif(not is_here(name), reason="not on this backend or processor")
    )
    for name in COMPUTE_TYPES
]


@cache
def trained_model() -> Any:
    """A small Transformer that has learnt `PAIRS`; tests leave its compute type as it is."""
    keras.utils.set_random_seed(1)
    text = s2s.text.Preprocessor.train(PAIRS, "character", joint=True)
    sizes = {"hidden_dim": 32, "num_layers": 1, "num_heads": 2, "intermediate_dim": 64}
    model = s2s.Seq2SeqLM.from_preset(
        "transformer_tiny",
        load_weights=False,
        preprocessor=text,
        architecture={"shared": {**sizes, "dropout": 0.0, "embedding": {"dropout": 0.0}}},
    )
    model.compile(keras.optimizers.Adam(1e-2))
    batches = s2s.data.Batches(PAIRS, text, batch_size=len(PAIRS))
    model.fit(batches, epochs=70, verbose=0)
    return model
