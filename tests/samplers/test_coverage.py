"""Coverage penalty and GNMT's length normalisation: against plain formulas and every result."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from small_models import (
    attention,
    covered,
    make_model,
    recurrent,
    slow_where_compiled,
    source_mapping,
    transformer,
    variant,
)

from keras_s2s.model import Seq2SeqLM

SOURCES = [[5, 9, 6, 4, 3], [7, 3], [8, 4, 4, 11, 6, 3]]
GNMT = {"length_normalization": "gnmt", "length_penalty": 0.7, "coverage_penalty": 0.4}


@pytest.fixture(scope="module")
def model() -> Seq2SeqLM:
    return make_model(variant({"shared": transformer()}), scale=2.0)


def plain_score(log_probs: Any, weights: np.ndarray, options: dict[str, Any]) -> float:
    """The score of a hypothesis, from its log-probabilities and its attention `[T, S]`."""
    length = len(weights)
    norm = (5 + length) / 6 if options.get("length_normalization") == "gnmt" else length
    covered_by = np.minimum(weights.sum(axis=0), 1.0)
    coverage = options.get("coverage_penalty", 0.0) * np.log(covered_by).sum()
    return float(np.sum(log_probs) / norm ** options.get("length_penalty", 1.0) + coverage)


SEARCHES: list[dict[str, Any]] = [
    {"num_beams": 4, "num_return_sequences": 4, **GNMT},
    {"num_beams": 3, "num_return_sequences": 2, "coverage_penalty": 1.5},
    {"num_beams": 3, "num_return_sequences": 3, "length_normalization": "gnmt"},
    {"num_beams": 4, "num_return_sequences": 2, "do_sample": True, "seed": 3, **GNMT},
    {"num_beams": 3, "num_return_sequences": 2, "force_words_ids": [[6, 7]], **GNMT},
]


@pytest.mark.parametrize("options", covered(SEARCHES, SEARCHES[:1]), ids=str)
def test_scores_are_the_formula(model, options):
    output = model.generate(
        source_mapping(SOURCES), max_length=9, return_output=True, batch_size=2, **options
    )
    for i, source in enumerate(SOURCES):
        rows = [
            ids[:length].tolist()
            for ids, length in zip(output.token_ids[i], output.lengths[i], strict=True)
        ]
        many = [source] * len(rows)
        _, log_probs, weights = model.score(
            many, rows, return_token_log_probs=True, return_attention=True
        )
        expected = [plain_score(a, b, options) for a, b in zip(log_probs, weights, strict=True)]
        np.testing.assert_allclose(output.scores[i], expected, rtol=1e-4, atol=1e-4)
        assert list(output.scores[i]) == sorted(output.scores[i], reverse=True)


@slow_where_compiled
@pytest.mark.parametrize(
    "options",
    [GNMT, {"coverage_penalty": 2.0, "length_penalty": 0.3}, {"coverage_penalty": 0.7}],
    ids=str,
)
def test_a_wide_search_finds_the_best_of_all(model, options):
    letters, eos, steps = [4, 6, 9], 3, 4
    others = [i for i in range(16) if i not in (*letters, eos)]
    results = [list(ids) for ids in itertools.product(letters, repeat=steps)]
    for length in range(steps):
        results += [[*ids, eos] for ids in itertools.product(letters, repeat=length)]
    for source in SOURCES:
        _, log_probs, weights = model.score(
            [source] * len(results), results, return_token_log_probs=True, return_attention=True
        )
        scores = [plain_score(a, b, options) for a, b in zip(log_probs, weights, strict=True)]
        best = sorted(range(len(results)), key=lambda i: -scores[i])[:6]
        output = model.generate(
            source_mapping([source]),
            num_beams=100,
            num_return_sequences=6,
            early_stopping="never",
            suppress_tokens=others,
            max_length=steps + 1,
            return_output=True,
            **options,
        )
        found = zip(output.token_ids[0], output.lengths[0], strict=True)
        assert [ids[:length].tolist() for ids, length in found] == [results[i] for i in best]
        expected = [scores[i] for i in best]
        np.testing.assert_allclose(output.scores[0], expected, rtol=1e-4, atol=1e-4)


@slow_where_compiled
def test_what_ctranslate2_subtracts(tmp_path):
    """The same for each hypothesis that both have; with one head, the one whose attention it
    uses.
    """
    ctranslate2 = pytest.importorskip("ctranslate2")
    model = make_model(variant({"shared": transformer(num_heads=1)}), scale=2.0)
    model.export(tmp_path / "there", format="ctranslate2")
    translator = ctranslate2.Translator(str(tmp_path / "there"))

    def theirs(**options: float) -> list[dict[tuple[int, ...], float]]:
        found = []
        for row in SOURCES:  # alone: its attention reaches into the padding of a batch
            result = translator.translate_batch(
                [[str(i) for i in row[:-1]]],
                beam_size=6,
                num_hypotheses=6,
                max_decoding_length=8,
                return_scores=True,
                **options,
            )[0]
            rows = [tuple(map(int, tokens)) for tokens in result.hypotheses]
            # It does not count the attention of EOS.
            scores = zip(rows, result.scores, strict=True)
            found.append({row: score for row, score in scores if len(row) == 8})
        return found

    def ours(**options: float) -> list[dict[tuple[int, ...], float]]:
        output = model.generate(
            source_mapping(SOURCES),
            num_beams=6,
            num_return_sequences=6,
            early_stopping=True,
            max_length=9,
            return_output=True,
            **options,
        )
        return [
            {tuple(row.tolist()): float(s) for row, s in zip(ids, scores, strict=True)}
            for ids, scores in zip(output.token_ids, output.scores, strict=True)
        ]

    with_penalty = {"length_penalty": 0.6, "coverage_penalty": 0.3}
    shared = 0
    for other, other_less, mine, mine_less in zip(
        theirs(length_penalty=0.6),
        theirs(**with_penalty),
        ours(length_penalty=0.6),
        ours(**with_penalty),
        strict=True,
    ):
        for row in set(other) & set(other_less) & set(mine) & set(mine_less):
            lost = other_less[row] - other[row]
            assert mine_less[row] - mine[row] == pytest.approx(lost, abs=2e-5)
            shared += lost < -0.01
    assert shared > 5


@slow_where_compiled
def test_decoders_without_attention_refuse_it():
    sides = {"encoder": recurrent("gru"), "decoder": recurrent("gru")}
    model = make_model(variant({**sides, "bridge": {"type": "copy"}}))
    with pytest.raises(ValueError, match=r"coverage_penalty.*reads its source as a fixed vector"):
        model.generate(source_mapping(SOURCES), num_beams=2, coverage_penalty=0.2, max_length=5)


@slow_where_compiled
def test_recurrent_attention_counts():
    decoder = recurrent("gru", **attention("dot", "current"))
    sides = {"encoder": recurrent("gru"), "decoder": decoder}
    model = make_model(variant({**sides, "bridge": {"type": "copy"}}), scale=2.0)
    test_scores_are_the_formula(model, SEARCHES[0])
