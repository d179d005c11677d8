"""What `fit` and `evaluate` take, and what they say of what they do not take."""

from __future__ import annotations

import numpy as np
import pytest
from contracts import checks
from small_models import make_model, shrunken_preset

from keras_s2s import Seq2SeqLM, data

PAIRS = [("ab", "ba"), ("abc", "cba")]


@pytest.fixture(scope="module")
def model() -> Seq2SeqLM:
    return make_model(shrunken_preset("gru_bahdanau"), seed=1)


@pytest.mark.parametrize(
    "texts",
    [
        PAIRS,
        tuple(PAIRS),
        [list(pair) for pair in PAIRS],
        data.read_pairs(pairs=PAIRS),
        [{"source": "ab", "target": "ba"}],
        ["ab", "abc"],
        np.asarray(PAIRS),
        np.asarray(["ab", "abc"]),
        "ab",
    ],
    ids=lambda texts: type(texts).__name__,
)
def test_texts_are_refused_with_the_way_to_wrap_them(model, texts) -> None:
    wrapped = r"wrap the pairs: {}data\.Batches\(pairs, model\.preprocessor\)"
    with pytest.raises(ValueError, match=wrapped.format(r"model\.fit\(")):
        model.fit(texts, verbose=0)
    with pytest.raises(ValueError, match=wrapped.format(r"model\.evaluate\(")):
        model.evaluate(texts, verbose=0)
    with pytest.raises(ValueError, match=wrapped.format("validation_data=")):
        model.fit(checks.copy_batches(model), validation_data=texts, verbose=0)


def test_sources_and_targets_as_two_lists_are_refused(model) -> None:
    sources, targets = zip(*PAIRS, strict=True)
    with pytest.raises(ValueError, match="this is text; wrap the pairs"):
        model.fit(list(sources), list(targets))


def test_batches_and_arrays_are_taken(model) -> None:
    batches = checks.copy_batches(model)
    assert np.isfinite(model.evaluate(batches, verbose=0)).all()
    inputs, labels, weights = batches[0]
    history = model.fit(
        inputs, labels, sample_weight=weights, validation_data=batches[0], epochs=1, verbose=0
    )
    assert np.isfinite(history.history["val_loss"]).all()
