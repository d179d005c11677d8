"""Searches, rules and prefixes, alone and together: the ids and scores of transformers."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from parity.hugging_face_twin import VOCABULARY, twin
from parity.test_transformers_parity import assert_same_ids, trained_probe
from small_models import covered, source_mapping

transformers = pytest.importorskip("transformers")

MAX_LENGTH = 13


@pytest.fixture(scope="module")
def marian():
    transformers.logging.set_verbosity_error()
    probe = trained_probe("marian")
    return probe.model, twin(probe.model)


@pytest.fixture(scope="module")
def bart():
    """Its decoder starts with EOS."""
    transformers.logging.set_verbosity_error()
    probe = trained_probe("bart")
    return probe.model, twin(probe.model)


def sources(lengths: Any = (3, 9, 6, 2, 8, 5, 9, 7)) -> list[list[int]]:
    rng = np.random.default_rng(4)
    return [[*rng.integers(4, VOCABULARY, length).tolist(), 3] for length in lengths]


def compare(
    pair: Any,
    options: dict[str, Any],
    rows: Any = None,
    prefix: list[list[int]] | None = None,
    endless: bool = False,
) -> None:
    """Generate on both sides; unless `endless`, some hypotheses end before others."""
    import torch

    model, other = pair
    special = model.special_ids
    rows = rows or sources()
    options = {"max_length": MAX_LENGTH, **options}
    inputs = source_mapping(rows, special.source.pad)
    given = {}
    if prefix is not None:
        begun = [[special.target.decoder_start, *ids] for ids in prefix]
        given["decoder_input_ids"] = torch.tensor(begun)
    with torch.no_grad():
        expected = other.generate(
            input_ids=torch.from_numpy(inputs["encoder_token_ids"]).long(),
            attention_mask=torch.from_numpy(inputs["encoder_padding_mask"]).long(),
            return_dict_in_generate=True,
            output_scores=True,
            **given,
            **{"num_beams": 1, "do_sample": False, **options},
        )
    output = model.generate(inputs, decoder_prefix=prefix, return_output=True, **options)
    count = len(rows) * options.get("num_return_sequences", 1)
    found = output.token_ids.reshape(count, -1)
    assert_same_ids(found, expected.sequences[:, 1:].numpy(), special.target.pad)
    if "num_beams" in options:
        scores = expected.sequences_scores.numpy()
        np.testing.assert_allclose(output.scores.reshape(-1), scores, atol=1e-4)
    lengths = set(output.lengths.ravel().tolist())
    assert endless or len(lengths) > 1, "all end together: nothing is shown"


# ------------------------------------------------------------------ searches

SEARCHES = list(product((2, 4, 5), (0.6, 1.0, 2.0), (True, False, "never")))


@pytest.mark.parametrize(("beams", "penalty", "stopping"), covered(SEARCHES, [(5, 0.6, "never")]))
def test_searches(bart, beams, penalty, stopping):
    compare(
        bart,
        {
            "num_beams": beams,
            "length_penalty": penalty,
            "early_stopping": stopping,
            "num_return_sequences": beams,
        },
        endless=penalty == 2.0 and stopping == "never",  # the longest are the best
    )


# ------------------------------------------------------------------ rules


def allowed(source: int, ids: Any) -> list[int]:
    """Ids of the source's own parity, an end after even ones, and no id twice in a row."""
    last = int(ids[-1])
    ends = [3, 2] if last % 2 == 0 else []
    return ends + [i for i in range(4, VOCABULARY) if (i + source) % 3 and i != last]


BAD_WORDS = [[6], [7, 9], [9, 7], [8, 8], [5, 10, 5], [11, 3], [3]]
RULES: dict[str, dict[str, Any]] = {
    "min_length": {"min_length": 6},
    "min_new_tokens": {"min_new_tokens": 4},
    "no_repeat_1": {"no_repeat_ngram_size": 1},
    "no_repeat_2": {"no_repeat_ngram_size": 2},
    "encoder_no_repeat_1": {"encoder_no_repeat_ngram_size": 1},
    "encoder_no_repeat_2": {"encoder_no_repeat_ngram_size": 2},
    "repetition": {"repetition_penalty": 1.8},
    "repetition_rewarded": {"repetition_penalty": 0.8},
    "bad_words": {"bad_words_ids": BAD_WORDS},
    "suppress": {"suppress_tokens": [5, 8, 13]},
    "begin_suppress": {"begin_suppress_tokens": list(range(3, 14))},
    "forced_bos": {"forced_bos_token_id": 7},
    "forced_eos": {"forced_eos_token_id": 9, "max_length": 9},
    "allowed": {"prefix_allowed_tokens_fn": allowed},
    "exponential_decay": {"exponential_decay_length_penalty": (3, 1.2)},
    "encoder_repetition": {"encoder_repetition_penalty": 1.4},
    "some": {
        "no_repeat_ngram_size": 2,
        "repetition_penalty": 1.3,
        "min_length": 5,
        "bad_words_ids": BAD_WORDS,
        "forced_eos_token_id": 3,
    },
    "others": {
        "encoder_no_repeat_ngram_size": 3,
        "forced_bos_token_id": 12,
        "begin_suppress_tokens": [4, 5, 6, 7],
        "suppress_tokens": [20],
        "min_new_tokens": 4,
        "prefix_allowed_tokens_fn": allowed,
    },
    "renormalized": {
        "renormalize_logits": True,
        "begin_suppress_tokens": list(range(3, 14)),
        "suppress_tokens": [20],
        "min_new_tokens": 3,
    },
}


def sources_for(options: dict[str, Any]) -> list[list[int]]:
    """Where their n-grams count, of one length, as transformers takes padding for text; no EOS."""
    if not {"encoder_no_repeat_ngram_size", "encoder_repetition_penalty"} & set(options):
        return sources()
    return [row[:-1] for row in sources((6,) * 8)]


@pytest.mark.parametrize("name", covered(list(RULES), ["some", "others"]))
@pytest.mark.parametrize("family", covered(["marian", "bart"], ["bart"]))
def test_rules_in_a_search(request, family, name):
    options = {"num_beams": 4, "num_return_sequences": 3, "length_penalty": 0.8, **RULES[name]}
    # The id that starts BART's decoder is its EOS, and cannot come again.
    endless = (family, name) == ("bart", "no_repeat_1")
    compare(request.getfixturevalue(family), options, sources_for(options), endless=endless)


@pytest.mark.parametrize("name", covered(list(RULES), ["some"]))
def test_rules_in_greedy_search(bart, name):
    endless = name in ("no_repeat_1", "min_length")
    compare(bart, RULES[name], sources_for(RULES[name]), endless=endless)


# ------------------------------------------------------------------ several ids that end a result

ENDS: list[dict[str, Any]] = [
    {},
    {"num_beams": 4, "num_return_sequences": 4, "length_penalty": 0.6},
    {"num_beams": 2, "num_return_sequences": 2, "early_stopping": True},
    {
        "num_beams": 3,
        "early_stopping": "never",
        "min_new_tokens": 3,
        "bad_words_ids": BAD_WORDS,
        "exponential_decay_length_penalty": (4, 1.3),
    },
]


@pytest.fixture(scope="module")
def id_in_results(bart):
    """An id that greedy results have within, so that it ends some results early and not all."""
    model, _ = bart
    inputs = source_mapping(sources(), model.special_ids.source.pad)
    results = model.generate(inputs, max_length=MAX_LENGTH, return_output=True).token_ids
    results = results.reshape(len(results), -1)
    counts = {id: (results == id).any(axis=1).sum() for id in np.unique(results[:, 2:-3])}
    special = {model.special_ids.target.pad, model.special_ids.target.eos}
    some = {id: count for id, count in counts.items() if id not in special and count < len(results)}
    return int(max(some, key=lambda id: some[id]))


@pytest.mark.parametrize("ends", [[2, 7, 11, 9, 15], [13, 5], "one"], ids=str)
@pytest.mark.parametrize("options", covered(ENDS, ENDS[1:2]), ids=str)
def test_several_ids_that_end_a_result(bart, options, ends, id_in_results):
    ends = id_in_results if ends == "one" else ends
    compare(bart, {"eos_token_id": ends, **options}, endless="min_new_tokens" in options)


# ------------------------------------------------------------------ prefixes


PREFIXED: list[dict[str, Any]] = [
    {},
    {"num_beams": 4, "num_return_sequences": 2, "length_penalty": 2.0},
    {"num_beams": 3, "early_stopping": "never", "length_penalty": 0.6},
    {
        "num_beams": 4,
        "early_stopping": True,
        "min_new_tokens": 4,
        "no_repeat_ngram_size": 2,
        "forced_bos_token_id": 12,
        "begin_suppress_tokens": [4, 5, 6],
        "bad_words_ids": BAD_WORDS,
        "repetition_penalty": 1.2,
    },
]


@pytest.mark.parametrize("options", covered(PREFIXED, PREFIXED[3:]))
def test_prefixes(bart, options):
    prefix = [[row[0], 11] for row in sources()]
    compare(bart, options, prefix=prefix)
