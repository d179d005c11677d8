"""Lengths of results: by those of sources, and by a budget."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from small_models import covered, make_model, source_mapping, transformer, variant

SOURCES = [[5, 9, 6, 4, 3], [7, 3], [8, 4, 4, 11, 6, 9, 12, 5, 6, 3]]
STRATEGIES: list[dict[str, Any]] = [
    {},
    {"num_beams": 3, "num_return_sequences": 3},
    {"do_sample": True, "seed": 4, "num_return_sequences": 2},
    {"num_beams": 4, "num_beam_groups": 2, "num_return_sequences": 4},
    {"force_words_ids": [[6]], "num_beams": 3, "num_return_sequences": 3},
    {"sampler": "contrastive"},
]


@pytest.fixture(scope="module")
def models() -> tuple[Any, Any]:
    """One that ends soon, and one that never does."""
    from keras import ops

    found = []
    for bias_of_eos in (30.0, -30.0):
        model = make_model(variant({"shared": transformer()}), scale=2.0)
        (bias,) = [v for v in model.variables if v.path.endswith("logits/bias")]
        value = ops.convert_to_numpy(bias.value).copy()
        value[3] += bias_of_eos
        bias.assign(value)
        found.append(model)
    return found[0], found[1]


@pytest.mark.parametrize("options", covered(STRATEGIES, STRATEGIES[1:2]), ids=str)
def test_exactly_as_many_ids_as_asked_for(models, options):
    for model in models:
        prefix = [[9], [], [5, 6]]
        output = model.generate(
            source_mapping(SOURCES),
            decoder_prefix=prefix,
            min_new_tokens=5,
            max_new_tokens=5,
            return_output=True,
            **options,
        )
        for i, given in enumerate(prefix):
            assert (output.lengths[i] == 5 + len(given)).all()
            ids = np.atleast_2d(output.token_ids[i])[:, : 5 + len(given)]
            assert not (ids[:, len(given) :] == 3).any()


@pytest.mark.parametrize("ratio", covered([0.5, 0.3, 1.1, 2.0], [1.1]))
@pytest.mark.parametrize("options", covered(STRATEGIES, STRATEGIES[1:2]), ids=str)
def test_lengths_by_those_of_sources(models, options, ratio):
    ending, endless = models
    if "force_words_ids" in options:
        ratio = max(ratio, 0.5)
    call = {"max_length": 30, "return_output": True, **options}
    sources = source_mapping(SOURCES)
    longest = endless.generate(sources, max_length_ratio=ratio, **call)
    for i, source in enumerate(SOURCES):
        # Of 11 times 1.1, 10 is 11, whatever float32 makes of it.
        exact = round(len(source) * ratio, 6)
        lengths = np.atleast_1d(longest.lengths[i])
        assert lengths.max() == max(1, math.floor(exact))
        # Where fewer results have the phrase than were asked for, places are empty.
        assert "force_words_ids" in options or (lengths == lengths[0]).all()
    if "force_words_ids" not in options:
        shortest = ending.generate(sources, min_length_ratio=ratio, **call)
        for i, source in enumerate(SOURCES):
            exact = round(len(source) * ratio, 6)
            # EOS comes after them at once.
            assert (shortest.lengths[i] == math.ceil(exact) + 1).all()
    alone = endless.generate(sources, max_length_ratio=ratio, batch_size=1, **call)
    np.testing.assert_array_equal(alone.lengths, longest.lengths)


def test_the_other_limits_stay(models):
    ending, endless = models
    sources = source_mapping(SOURCES)
    output = endless.generate(sources, max_length_ratio=2.0, max_length=8, return_output=True)
    assert output.lengths.tolist() == [7, 4, 7]
    prefix = [[9, 9], [9, 9], [9, 9]]
    output = endless.generate(
        sources, max_length_ratio=1.0, decoder_prefix=prefix, max_length=20, return_output=True
    )
    assert output.lengths.tolist() == [7, 4, 12]
    output = ending.generate(
        sources, min_length_ratio=3.0, max_length_ratio=3.0, max_length=12, return_output=True
    )
    assert output.lengths.tolist() == [11, 6, 11]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length_ratio": 0}, "max_length_ratio=0 must be above 0"),
        ({"min_length_ratio": -1}, "min_length_ratio=-1 must be at least 0"),
        ({"min_length_ratio": 2, "max_length_ratio": 1.5}, "=2 is more than max_length_ratio=1.5"),
        (
            {"max_length_ratio": 1.0, "force_words_ids": [[5, 6, 7]]},
            "source 1 asks for a result with 3 ids .*leaves room for 2",
        ),
    ],
)
def test_what_cannot_be_meant(models, options, message):
    with pytest.raises(ValueError, match=message):
        models[0].generate(source_mapping(SOURCES), max_length=20, **options)
