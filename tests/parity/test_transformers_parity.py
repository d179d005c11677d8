"""The same random weights here and in transformers: logits, greedy and beam search agree."""

from __future__ import annotations

from itertools import product

import keras
import numpy as np
import pytest
from parity.hugging_face_twin import VOCABULARY, bart_like, marian_like, twin
from small_models import (
    Probe,
    covered,
    make_model,
    model_inputs,
    slow_where_compiled,
    source_mapping,
)

from keras_s2s.data import Batches

transformers = pytest.importorskip("transformers")

FAMILIES = {"marian": marian_like, "bart": bart_like}


@pytest.fixture(scope="module", params=covered(list(FAMILIES), ["bart"]))
def pair(request):
    """Our probe, their model, and padded sources of several lengths."""
    transformers.logging.set_verbosity_error()
    probe = trained_probe(request.param)
    return probe, twin(probe.model)


@pytest.fixture(scope="module")
def marian():
    transformers.logging.set_verbosity_error()
    probe = trained_probe("marian")
    return probe, twin(probe.model)


def trained_probe(family: str) -> Probe:
    """A model that has begun to learn copying: unsure of itself, and rows end at their time.

    Random weights alone repeat one id for ever, and a search among such has nothing to decide.
    """
    model = make_model(FAMILIES[family](), seed=5, scale=0.7)
    rows = sources(256, seed=1)
    eos = model.special_ids.target.eos
    pairs = [(row, [*row[:-1], eos]) for row in rows]
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    batches = Batches(pairs, special_ids=model.special_ids, batch_size=32, num_buckets=1)
    model.fit(batches, epochs=8, verbose=0)
    return Probe(model)


def sources(count: int = 8, seed: int = 11) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [[*rng.integers(4, VOCABULARY, rng.integers(2, 9)).tolist(), 3] for _ in range(count)]


def theirs(model, rows, pad, **options):
    """`(sequences after the start, sequences_scores)` of transformers."""
    import torch

    inputs = source_mapping(rows, pad)
    with torch.no_grad():
        output = model.generate(
            input_ids=torch.from_numpy(inputs["encoder_token_ids"]).long(),
            attention_mask=torch.from_numpy(inputs["encoder_padding_mask"]).long(),
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
            **options,
        )
    scores = output.get("sequences_scores")
    return output.sequences[:, 1:].numpy(), None if scores is None else scores.numpy()


def assert_same_ids(found, expected, pad):
    """Equal up to trailing PAD."""
    width = max(found.shape[-1], expected.shape[-1])

    def widened(ids):
        return np.pad(ids, ((0, 0), (0, width - ids.shape[-1])), constant_values=pad)

    np.testing.assert_array_equal(widened(found), widened(expected))


def test_teacher_forced_logits(pair):
    import torch

    probe, other = pair
    rng = np.random.default_rng(0)
    special = probe.model.special_ids
    start = special.target.decoder_start
    targets = [[start, *rng.integers(4, VOCABULARY, n).tolist()] for n in (9, 3, 6)]
    inputs = model_inputs(sources(3), targets, special)
    mask = inputs["decoder_padding_mask"]
    with torch.no_grad():
        output = other(
            input_ids=torch.from_numpy(inputs["encoder_token_ids"]).long(),
            attention_mask=torch.from_numpy(inputs["encoder_padding_mask"]).long(),
            decoder_input_ids=torch.from_numpy(inputs["decoder_token_ids"]).long(),
            output_attentions=True,
        )
    expected = output.logits.numpy()
    found, attention = probe.logits_and_attention(inputs)
    assert np.abs(expected).max() > 1
    tolerance = max(1e-5, 1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(found[mask], expected[mask], atol=tolerance, rtol=0)
    top = output.cross_attentions[-1].mean(1).numpy()
    np.testing.assert_allclose(attention[mask], top[mask], rtol=1e-5, atol=1e-5)


def test_greedy(pair):
    probe, other = pair
    pad = probe.model.special_ids.target.pad
    rows = sources()
    expected, _ = theirs(other, rows, pad, num_beams=1, max_length=14)
    output = probe.model.generate(
        source_mapping(rows, probe.model.special_ids.source.pad),
        sampler="greedy",
        max_length=14,
        return_output=True,
    )
    assert_same_ids(output.token_ids, expected, pad)
    assert len(set(output.lengths.tolist())) > 2, "all end together: nothing is shown"


SEARCHES = list(product((2, 4), (0.6, 1.0, 2.0), (True, False, "never")))

#: Where a search takes seconds to compile; test_generation_parity has more.
COVER = [(4, 2.0, False)]


def compare_search(probe, other, options, rows=None):
    special = probe.model.special_ids
    rows = rows or sources()
    n = options.get("num_return_sequences", 1)
    expected, expected_scores = theirs(other, rows, special.source.pad, **options)
    output = probe.model.generate(
        source_mapping(rows, special.source.pad), return_output=True, **options
    )
    assert_same_ids(output.token_ids.reshape(len(rows) * n, -1), expected, special.target.pad)
    np.testing.assert_allclose(output.scores.reshape(-1), expected_scores, atol=1e-4)
    return output


@pytest.mark.parametrize(("beams", "penalty", "stopping"), covered(SEARCHES, COVER))
def test_beam_search(marian, beams, penalty, stopping):
    output = compare_search(
        *marian,
        {
            "num_beams": beams,
            "length_penalty": penalty,
            "early_stopping": stopping,
            "num_return_sequences": beams,
            "max_length": 14,
        },
    )
    assert len(set(output.lengths.ravel().tolist())) > 2, "all end together: nothing is shown"


def test_beam_search_with_defaults(pair):
    """Also where EOS starts the decoder, as in BART."""
    compare_search(*pair, {"num_beams": 3, "max_length": 11})


RULES = [
    {"max_new_tokens": 6, "forced_eos_token_id": 8, "length_penalty": 0.6},
    {"min_length": 6, "forced_bos_token_id": 7},
]


@pytest.mark.parametrize("options", covered(RULES, RULES[1:]))
def test_rules(marian, options):
    limit = {} if "max_new_tokens" in options else {"max_length": 12}
    options = {"num_beams": 3, "num_return_sequences": 2, **limit, **options}
    compare_search(*marian, options)


@slow_where_compiled
def test_rules_in_greedy_search(marian):
    probe, other = marian
    rows, rules = sources(), {"min_length": 5, "forced_bos_token_id": 9, "forced_eos_token_id": 8}
    expected, _ = theirs(other, rows, 1, num_beams=1, max_length=9, **rules)
    found = probe.model.generate(source_mapping(rows, 1), sampler="greedy", max_length=9, **rules)
    assert_same_ids(found, expected, 1)
    assert (found[:, 0] == 9).all()
