"""Reranking and minimum Bayes risk: against brute force."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from keras import ops
from small_models import COMPILES, randomise, transformer, variant

import keras_s2s as s2s
from keras_s2s.model import Seq2SeqLM
from keras_s2s.reranking.expected_utility import sentence_chrf
from keras_s2s.text import Preprocessor

if COMPILES:
    # What is tested here begins where generation ends.
    pytestmark = pytest.mark.slow

SOURCES = ["ab", "cdd", "bca"]


@pytest.fixture(scope="module")
def model() -> Seq2SeqLM:
    text = Preprocessor.train([("abcd", "abcd")] * 3, "character")
    config = variant({"shared": transformer()})
    architecture = config.architecture.model_dump()
    model = Seq2SeqLM.from_architecture(architecture, preprocessor=text)
    randomise(model, seed=5, scale=1.5)
    target = model.special_ids.target
    (bias,) = [v for v in model.variables if v.path.endswith("logits/bias")]
    value = ops.convert_to_numpy(bias.value).copy()
    value[[target.pad, target.decoder_start, target.unk]] -= 100
    value[text.target.vocabulary_size :] -= 100
    value[target.eos] += 1
    bias.assign(value)
    return model


def overlap(first: list[str], second: list[str]) -> list[float]:
    return [
        sum((Counter(a) & Counter(b)).values()) / (1 + max(len(a), len(b)))
        for a, b in zip(first, second, strict=True)
    ]


def test_the_best_by_a_function(model):
    options: dict[str, Any] = {"num_beams": 6, "num_return_sequences": 6, "max_length": 6}
    calls = []

    def function(sources: list[str], candidates: list[str]) -> list[float]:
        calls.append(len(sources))
        return overlap(sources, candidates)

    output = model.generate(SOURCES, return_output=True, **options)
    found = s2s.rerank(model, SOURCES, function, model_weight=0.25, return_output=True, **options)
    for i, source in enumerate(SOURCES):
        value: dict[str, float] = {}
        for text, score in zip(output.texts[i], output.scores[i], strict=True):
            value.setdefault(text, overlap([source], [text])[0] + 0.25 * float(score))
        expected = sorted(value, key=lambda text: -value[text])
        assert found.candidates[i] == expected
        np.testing.assert_allclose(found.values[i], [value[t] for t in expected], rtol=1e-6)
    assert calls == [sum(map(len, found.candidates))]
    assert found.texts == [each[0] for each in found.candidates]
    alone = s2s.rerank(model, SOURCES[1], function, model_weight=0.25, **options)
    assert alone == found.texts[1]
    plain = s2s.rerank(model, SOURCES, lambda a, b: [0.0] * len(a), **options)
    assert plain == [texts[0] for texts in output.texts]


def brute_force(texts: list[str], references: list[str], weights: np.ndarray) -> dict[str, float]:
    from sacrebleu.metrics import CHRF

    return {
        text: sum(
            weight * CHRF().sentence_score(text, [reference]).score
            for reference, weight in zip(references, weights, strict=True)
        )
        for text in dict.fromkeys(texts)
    }


@pytest.mark.parametrize("sampled", [True, False])
def test_expected_utilities_by_brute_force(model, sampled):
    pytest.importorskip("sacrebleu")
    if sampled:
        options: dict[str, Any] = {"seed": 4, "max_length": 6}
        drawn = {"do_sample": True, "num_return_sequences": 12, **options}
        more: dict[str, Any] = {}
    else:
        options = {"num_beams": 8, "max_length": 6}
        drawn = {"num_return_sequences": 8, **options}
        more = {"weights": "probabilities"}
    output = model.generate(SOURCES, return_output=True, **drawn)
    count = drawn["num_return_sequences"]
    found = s2s.minimum_bayes_risk(
        model, SOURCES, num_samples=count, return_output=True, **more, **options
    )
    several = 0
    for i in range(len(SOURCES)):
        texts = output.texts[i]
        weights = np.full(count, 1 / count)
        if not sampled:
            weights = np.exp(output.token_log_probs[i].sum(axis=-1, dtype="float64"))
            weights /= weights.sum()
        expected = brute_force(texts, texts, weights)
        assert found.candidates[i][0] == max(expected, key=lambda text: expected[text])
        values = [expected[text] for text in found.candidates[i]]
        np.testing.assert_allclose(found.values[i], values, rtol=1e-5)
        several += len(expected) > 2
    assert several == len(SOURCES)


def test_candidates_of_their_own(model):
    beams = {"num_beams": 5, "num_return_sequences": 5, "max_length": 6}
    found = s2s.minimum_bayes_risk(
        model,
        SOURCES,
        num_samples=20,
        utility=overlap,
        candidates=beams,
        seed=3,
        max_length=6,
        return_output=True,
    )
    texts = model.generate(SOURCES, **beams)
    drawn = model.generate(SOURCES, do_sample=True, num_return_sequences=20, seed=3, max_length=6)
    for i in range(len(SOURCES)):
        mean = {text: np.mean(overlap([text] * 20, drawn[i])) for text in dict.fromkeys(texts[i])}
        assert set(found.candidates[i]) == set(mean)
        expected = [mean[text] for text in found.candidates[i]]
        np.testing.assert_allclose(found.values[i], expected, rtol=1e-6)
        assert all(a >= b for a, b in itertools.pairwise(expected))


def test_a_source_alone_and_with_others(model):
    options = {"num_samples": 6, "utility": overlap, "max_length": 6}
    together = s2s.minimum_bayes_risk(model, SOURCES, seed=[1, 2, 3], **options)
    for source, seed, text in zip(SOURCES, (1, 2, 3), together, strict=True):
        assert s2s.minimum_bayes_risk(model, source, seed=seed, **options) == text
    assert s2s.minimum_bayes_risk(model, [], **options) == []


def test_chrf_of_pairs():
    pytest.importorskip("sacrebleu")
    assert sentence_chrf(["abc", "abd"], ["abc", "xyz"]) == [100.0, 0.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: s2s.rerank(m, "ab", lambda a, b: [1.0]), r"shape \(1,\); expected a number"),
        (
            lambda m: s2s.rerank(m, "ab", lambda a, b: [float("nan")] * len(a)),
            "function returned NaN",
        ),
        (lambda m: s2s.minimum_bayes_risk(m, "ab", weights="all"), "weights='all' must be"),
        (lambda m: s2s.minimum_bayes_risk(m, "ab", num_samples=0), "num_samples=0 must be"),
        (lambda m: s2s.minimum_bayes_risk(m, "ab", num_return_sequences=3), "are num_samples"),
    ],
)
def test_what_cannot_be_meant(model, call, message):
    with pytest.raises(ValueError, match=message):
        call(model)
    with pytest.raises(TypeError, match="source 0 is int"):
        s2s.rerank(model, [5], overlap)
