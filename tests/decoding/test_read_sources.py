"""What a call says about sources that its model cannot read, where they are no ids."""

from __future__ import annotations

import numpy as np
import pytest

import keras_s2s as s2s

LENGTH = 4
ARCHITECTURE = {
    "target_vocab_size": 9,
    "frontend": {"type": "features", "feature_dim": 3},
    "shared": {"type": "recurrent", "cell": "gru", "hidden_dim": 4},
    "encoder": {"embedding": {"positions": "learned", "max_positions": LENGTH}},
    "decoder": {"context": "initial_state"},
    "bridge": {"type": "dense"},
}
SPECIAL_IDS = {"source": {"pad": 0}, "target": {"decoder_start": 1, "eos": 2, "pad": 0}}
GOOD = np.ones((2, 3))


@pytest.fixture(scope="module")
def model():
    return s2s.Seq2SeqLM.from_architecture(ARCHITECTURE, special_ids=SPECIAL_IDS)


CASES = {
    "a text": (
        "ein Hund",
        TypeError,
        "element 0 is a text, but sources of this model are encoder_features; generate() takes a "
        "list of arrays, or a mapping with encoder_features and encoder_padding_mask",
    ),
    "a number": (3, TypeError, "got 3; generate() takes a list of arrays, or a mapping"),
    "no mask": (
        {"encoder_features": [GOOD]},
        ValueError,
        "the input mapping lacks encoder_padding_mask",
    ),
    "ids": (
        {"encoder_token_ids": [[5]], "encoder_padding_mask": [[True]]},
        ValueError,
        "the input mapping lacks encoder_features",
    ),
    "a list of ids": (
        [[5, 6]],
        ValueError,
        "source 0 has the shape (2,); expected an array [length, 3]",
    ),
    "another width": (
        [GOOD, np.ones((2, 4))],
        ValueError,
        "source 1 has the shape (2, 4); expected an array [length, 3]",
    ),
    "a number that is not finite": (
        [GOOD * np.nan],
        ValueError,
        "source 0 holds numbers that are not finite (NaN or infinite)",
    ),
    "nothing": ([GOOD, np.ones((0, 3))], ValueError, "source 1 is empty: it has no vector at all"),
    "too long": (
        [np.ones((LENGTH + 1, 3))],
        ValueError,
        f"source 0 has {LENGTH + 1} vectors, but the model has positions for {LENGTH}",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_sources_that_cannot_be_read(model, name):
    x, kind, message = CASES[name]
    with pytest.raises(kind) as caught:
        model.generate(x)
    assert message in str(caught.value)


def test_languages_are_for_texts(model):
    with pytest.raises(ValueError, match=r"src_lang='de' is for texts: sources that are not texts"):
        model.generate([GOOD], src_lang="de")
    with pytest.raises(ValueError, match="tgt_lang needs a preprocessor that knows languages"):
        model.generate([GOOD], tgt_lang="en")


def test_a_source_that_is_too_long_can_be_cut(model):
    rows = [np.arange(3.0 * (LENGTH + 1)).reshape(LENGTH + 1, 3)]
    found = model.generate(rows, overlong="truncate", max_length=5)
    np.testing.assert_array_equal(found, model.generate([rows[0][:LENGTH]], max_length=5))
