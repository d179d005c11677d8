"""Shortlists in generation: against models that have no other ids, and in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
from small_models import (
    VARIANTS,
    covered,
    make_model,
    shrunken_preset,
    slow_where_compiled,
    source_mapping,
    to_numpy,
)

from keras_s2s.samplers import ForcedBos, ForcedEos, Greedy, MinLength
from keras_s2s.samplers.processors import Suppress
from keras_s2s.text.shortlists.shortlist import from_lists

SOURCES = [[5, 9, 6, 4, 3], [7, 3], [8, 4, 4, 11, 6, 10, 3], [12, 5, 3]]
SEARCHES = {
    "greedy": {"num_beams": 1},
    "beam": {"num_beams": 4, "num_return_sequences": 3},
    "diverse": {"num_beams": 4, "num_beam_groups": 2},
    "draws": {"do_sample": True, "num_return_sequences": 2, "top_p": 0.9},
    "beam_draws": {"do_sample": True, "num_beams": 3},
    "contrastive": {"sampler": "contrastive", "top_k": 3},
    "rules": {"num_beams": 3, "min_length": 5, "no_repeat_ngram_size": 2, "bad_words_ids": [[6]]},
    # Rules that choose among the candidates.
    "rules_by_id": {
        **{"num_beams": 3, "min_length": 5, "bad_words_ids": [[6], [9, 4]]},
        **{"suppress_tokens": [11], "begin_suppress_tokens": [4], "renormalize_logits": True},
    },
    "greedy_by_id": {
        **{"num_beams": 1, "min_new_tokens": 3, "min_length_ratio": 0.5, "suppress_tokens": [5]},
        **{"forced_eos_token_id": 3, "exponential_decay_length_penalty": (2, 1.5)},
    },
}


def shortlist(size: int = 19):
    """Five candidates of each id, and 3, which ends results."""
    lists = {i: [(3 * i + 5 * k) % size for k in range(3)] for i in range(size)}
    return from_lists(lists, [3, 4], target_size=size)


@pytest.fixture(
    scope="module",
    params=covered(["marian_like", "gru_bahdanau"], ["marian_like"]),
)
def model(request):
    config = VARIANTS.get(request.param) or shrunken_preset(request.param)
    return make_model(config, seed=2)


def generate(model, sources, **options):
    options = {"max_length": 7, "return_output": True, **options}
    return model.generate(source_mapping(sources), **options)


def biased(model):
    """The variable that is added to logits."""
    (found,) = [v for v in model.variables if v.path.endswith("logits/bias")]
    return found


@pytest.mark.parametrize("search", covered(list(SEARCHES), ["beam", "draws", "rules_by_id"]))
def test_results_are_those_of_a_model_with_no_other_ids(model, search):
    """Each source alone, from a model whose biases forbid all ids that are no candidates."""
    table = shortlist(model.network.vocabulary_size)
    draws = SEARCHES[search].get("do_sample", False)
    options = {**SEARCHES[search], **({"seed": [3, 4, 5, 6]} if draws else {})}
    together = generate(model, SOURCES, shortlist=table, **options)
    bias = biased(model)
    kept = to_numpy(bias).copy()
    for i, source in enumerate(SOURCES):
        rows = table.candidates(source)
        assert together.candidates[i] == len(rows) < model.network.vocabulary_size
        values = np.full_like(kept, -1e9)
        values[rows] = kept[rows]
        bias.assign(values)
        seeded = {"seed": 3 + i} if draws else {}
        expected = generate(model, [source], **{**options, **seeded})
        bias.assign(kept)
        assert expected.candidates is None
        length = expected.token_ids.shape[-1]
        np.testing.assert_array_equal(together.lengths[i], expected.lengths[0])
        np.testing.assert_array_equal(together.token_ids[i][..., :length], expected.token_ids[0])
        found = together.token_log_probs[i][..., :length]
        np.testing.assert_allclose(found, expected.token_log_probs[0], atol=2e-5)
        np.testing.assert_allclose(together.scores[i], expected.scores[0], atol=2e-5)
        assert set(np.ravel(together.token_ids[i])) <= {*rows.tolist(), 0}


def test_all_ids_as_candidates_change_nothing(model):
    size = model.network.vocabulary_size
    whole = from_lists({}, range(size), target_size=size)
    for options in ({"num_beams": 3}, {"do_sample": True, "seed": 1}):
        found = generate(model, SOURCES, shortlist=whole, **options)
        expected = generate(model, SOURCES, **options)
        assert found.candidates.tolist() == [size] * len(SOURCES)
        np.testing.assert_array_equal(found.token_ids, expected.token_ids)
        np.testing.assert_allclose(found.token_log_probs, expected.token_log_probs, atol=1e-5)


def test_rows_do_not_depend_on_their_batch(model):
    """Also where sources end at different steps, leave, and join others that wait."""
    table = shortlist(model.network.vocabulary_size)
    sources = [[*SOURCES[i % 4][:-1], 4 + i % 7, 3] for i in range(10)]
    options = {"shortlist": table, "num_beams": 2, "max_length": 40}
    alone = generate(model, sources, batch_size=1, **options)
    for size in (4, 10):
        found = generate(model, sources, batch_size=size, **options)
        np.testing.assert_array_equal(found.token_ids, alone.token_ids)
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-5)


class FewWidths(Greedy):
    """Greedy search that remembers of how many ids it was given scores."""

    takes_candidates = True
    seen: ClassVar[list[Any]] = []

    def choose(self, scores, index, sources):
        self.seen.append(scores.shape[-1])
        return super().choose(scores, index, sources)


class AllWidths(FewWidths):
    """A class that does not say for itself that it can choose among some ids."""


@dataclass(frozen=True)
class Own(Suppress):
    """A rule that may look ids up by their places."""


def test_scores_of_candidates_alone_where_strategy_and_rules_take_them(model):
    whole = model.network.vocabulary_size
    table = from_lists({}, [4, 6, 8], target_size=whole)
    found = {}
    for name, sampler, options in (
        ("few", FewWidths(), {"suppress_tokens": [6]}),
        ("inherited", AllWidths(), {"suppress_tokens": [6]}),
        ("own rule", FewWidths(), {"processors": [Own((6,))]}),
        ("repetition", FewWidths(), {"suppress_tokens": [6], "no_repeat_ngram_size": 9}),
    ):
        FewWidths.seen.clear()
        found[name] = generate(model, SOURCES, shortlist=table, sampler=sampler, **options)
        few = name == "few"
        assert FewWidths.seen and all((size != whole) is few for size in FewWidths.seen), name
    for name in found:
        np.testing.assert_array_equal(found[name].token_ids, found["few"].token_ids)
        np.testing.assert_allclose(found[name].scores, found["few"].scores, atol=1e-5)
    assert set(np.ravel(found["few"].token_ids)) <= {0, 3, 4, 8}


@pytest.mark.parametrize("rule", [ForcedBos(9), ForcedEos(9)], ids=["first", "last"])
def test_ids_that_rules_of_ones_own_force_are_candidates(model, rule):
    """Whatever other sources of the batch have."""
    table = from_lists({5: [9]}, [4, 6], target_size=model.network.vocabulary_size)
    options = {"shortlist": table, "processors": [MinLength(9), rule], "max_length": 4}
    for beams in (1, 3):
        together = generate(model, [[5, 9, 3], [7, 3]], num_beams=beams, **options)
        alone = generate(model, [[7, 3]], num_beams=beams, **options)
        np.testing.assert_array_equal(together.token_ids[1], alone.token_ids[0])
        place = 0 if isinstance(rule, ForcedBos) else 2
        assert np.ravel(alone.token_ids)[place] == 9


def test_more_beams_than_candidates(model):
    table = from_lists({}, [4, 6], target_size=model.network.vocabulary_size)
    options = {"shortlist": table, "max_length": 3, "num_return_sequences": 6}
    for beams in (6, 19):
        found = generate(model, SOURCES, num_beams=beams, **options)
        # EOS, and two ids of three each: 1 + 2 * 3 results, of which six are asked for.
        assert found.candidates.tolist() == [3] * len(SOURCES)
        rows = [[tuple(row) for row in source] for source in found.token_ids.tolist()]
        assert all(len(set(source)) == 6 for source in rows)
        assert np.isfinite(found.scores).all()


def test_ids_that_are_asked_for_are_candidates(model):
    table = from_lists({}, [4], target_size=model.network.vocabulary_size)
    found = generate(model, SOURCES, shortlist=table, force_words_ids=[[6, 7]], num_beams=2)
    assert found.candidates.tolist() == [4] * 4  # 4, EOS, and the phrase
    assert all({6, 7} <= set(row.tolist()) for row in found.token_ids)
    found = generate(model, SOURCES, shortlist=table, decoder_prefix=[[8], [], [9, 6], []])
    assert found.candidates.tolist() == [3, 2, 4, 2]
    assert found.token_ids[2, :2].tolist() == [9, 6]
    assert np.isfinite(found.token_log_probs).all()
    found = generate(model, SOURCES, shortlist=table, forced_bos_token_id=10)
    assert found.token_ids[:, 0].tolist() == [10] * 4 and np.isfinite(found.scores).all()


def test_what_a_shortlist_cannot_do_is_refused(model, tmp_path):
    for given, message in (
        (3, "shortlist=3 must be a file, a Shortlist"),
        ("", "shortlist='' must be a file"),
        (True, "this one has none; .* give its file, or learn one"),
        (from_lists({}, [], target_size=99), "candidates among 99 ids, and this model's"),
        (str(tmp_path / "lex.bin"), "no preprocessor"),
    ):
        with pytest.raises(ValueError, match=message):
            generate(model, SOURCES, shortlist=given)
    plain = generate(model, SOURCES, shortlist=False)
    np.testing.assert_array_equal(plain.token_ids, generate(model, SOURCES).token_ids)


@pytest.mark.slow
def test_quantised_tables_are_refused():
    model = make_model(VARIANTS["marian_like"])
    model.quantize("int8")
    with pytest.raises(ValueError, match="quantised as 'int8'"):
        generate(model, SOURCES, shortlist=shortlist(model.network.vocabulary_size))


@slow_where_compiled
def test_weights_of_now_are_used():
    model = make_model(VARIANTS["marian_like"], seed=2)
    table = shortlist(model.network.vocabulary_size)
    before = generate(model, SOURCES, shortlist=table)
    bias = biased(model)
    bias.assign(to_numpy(bias)[::-1].copy())
    after = generate(model, SOURCES, shortlist=table)
    assert not np.array_equal(before.token_log_probs, after.token_log_probs)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch compiles nothing")
def test_few_programs_are_compiled():
    model = make_model(VARIANTS["marian_like"], seed=2)
    table = shortlist(model.network.vocabulary_size)
    generate(model, SOURCES, shortlist=table)
    before = model.generator.compilations
    generate(model, SOURCES[::-1], shortlist=table)
    assert model.generator.compilations == before
