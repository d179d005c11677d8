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
from keras_s2s.reranking.utilities import UTILITIES, exact_match, sentence_chrf
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


def test_utilities_by_name_are_those_of_the_libraries(model):
    sacrebleu = pytest.importorskip("sacrebleu")
    rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")
    pairs = [("a man sleeps on it", "a man sleeps"), ("two dogs", "dogs play"), ("one", "one")]
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    expected = {
        "bleu": [sacrebleu.sentence_bleu(a, [b]).score for a, b in pairs],
        "chrf": [sacrebleu.sentence_chrf(a, [b]).score for a, b in pairs],
        "rouge": [100 * scorer.score(b, a)["rougeL"].fmeasure for a, b in pairs],
        "exact_match": [0.0, 0.0, 100.0],
    }
    assert set(expected) == set(UTILITIES)
    for name, values in expected.items():
        np.testing.assert_allclose(UTILITIES[name](first, second), values, rtol=1e-9)
    # Their tokenizers follow the script: there are no spaces between these words.
    for name in ("bleu", "rouge"):
        (value,) = UTILITIES[name](["今天天气很好"], ["今天天气不好"])
        assert 0 < value < 100
    options = {"num_samples": 6, "seed": 4, "max_length": 6}
    by_name = s2s.minimum_bayes_risk(model, SOURCES, utility="exact_match", **options)
    assert by_name == s2s.minimum_bayes_risk(model, SOURCES, utility=exact_match, **options)


def test_candidates_are_what_was_generated(model):
    options: dict[str, Any] = {"num_beams": 6, "num_return_sequences": 6, "max_length": 6}
    found = s2s.rerank(model, SOURCES, overlap, return_output=True, **options)
    for i, source in enumerate(SOURCES):
        for text, ids, log_prob in zip(
            found.candidates[i], found.token_ids[i], found.log_probs[i], strict=True
        ):
            assert model.preprocessor.decode_target([ids])[0] == text
            encoded = model.preprocessor.encode_source([source])
            scored = model.score(encoded, [ids.tolist()])
            np.testing.assert_allclose(scored, [log_prob], rtol=1e-4)


def test_candidates_have_the_limits_and_rules_of_the_call(model):
    """And its languages; not its search."""
    found = s2s.minimum_bayes_risk(
        model,
        SOURCES,
        num_samples=4,
        utility=overlap,
        candidates={"num_beams": 3, "num_return_sequences": 3},
        seed=3,
        top_k=4,
        max_length=4,
        decoder_prefix=["c"] * 3,
        return_output=True,
    )
    texts = model.generate(
        SOURCES, num_beams=3, num_return_sequences=3, max_length=4, decoder_prefix=["c"] * 3
    )
    assert [set(each) for each in found.candidates] == [set(each) for each in texts]


def test_as_many_candidates_as_beams(model):
    options: dict[str, Any] = {"num_beams": 3, "max_length": 6}
    found = s2s.rerank(model, SOURCES, overlap, return_output=True, **options)
    assert [len(each) for each in found.candidates] == [3, 3, 3]
    assert s2s.rerank(model, [], overlap) == []


def test_the_beams_of_the_model(model):
    own = model.preset.generation.model_copy(update={"num_beams": 4})
    preset = model.preset.model_copy(update={"generation": own})
    other = Seq2SeqLM(preset, model.preprocessor)
    other.set_weights(model.get_weights())
    options: dict[str, Any] = {"do_sample": True, "seed": 1, "max_length": 6}
    found = s2s.rerank(other, SOURCES, overlap, return_output=True, **options)
    assert all(1 < len(each) <= 4 for each in found.candidates)
    with pytest.raises(ValueError, match=r"num_samples=32 is more than num_beams=4.*'random'"):
        s2s.minimum_bayes_risk(other, SOURCES, do_sample=True)
    drawn = {"sampler": "random", "seed": 2, "max_length": 6}
    found = s2s.rerank(other, SOURCES, overlap, return_output=True, **drawn)
    expected = other.generate(SOURCES, num_return_sequences=5, **drawn)
    assert [set(each) for each in found.candidates] == [set(each) for each in expected]


def test_tensors_as_numbers(model):
    options: dict[str, Any] = {"num_beams": 3, "max_length": 6}

    def values(first: list[str], second: list[str]) -> Any:
        return ops.convert_to_tensor(np.array(overlap(first, second), "float32"))

    found = s2s.rerank(model, SOURCES, values, **options)
    assert found == s2s.rerank(model, SOURCES, overlap, **options)


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
        (lambda m: s2s.minimum_bayes_risk(m, "ab", num_beams=4), "num_samples=32 is more than num"),
        (lambda m: s2s.minimum_bayes_risk(m, "ab", utility="blue"), "did you mean 'bleu'"),
        (
            lambda m: s2s.minimum_bayes_risk(m, "ab", candidates={"return_output": True}),
            "return_output is no option of candidates",
        ),
        (lambda m: s2s.rerank(m, "ab", lambda a, b: None), "function returned None; expected a"),
        (lambda m: s2s.rerank(m, "ab", lambda a, b: ["x"] * len(a)), "expected a number for each"),
        (
            lambda m: s2s.rerank(m, "ab", overlap, model_weight=float("nan")),
            "model_weight=nan must",
        ),
    ],
)
def test_what_cannot_be_meant(model, call, message):
    with pytest.raises(ValueError, match=message):
        call(model)
    with pytest.raises(TypeError, match="source 0 is int"):
        s2s.rerank(model, [5], overlap)
    with pytest.raises(TypeError, match="x is a dict; reranking compares texts"):
        s2s.rerank(model, {"encoder_token_ids": [[5]]}, overlap)
    with pytest.raises(TypeError, match="function='chrf' must be a function"):
        s2s.rerank(model, "ab", "chrf")
    with pytest.raises(TypeError, match="utility=3 must be a function of pairs, or 'chrf'"):
        s2s.minimum_bayes_risk(model, "ab", utility=3)
    with pytest.raises(TypeError, match="candidates='beam' must be a mapping"):
        s2s.minimum_bayes_risk(model, "ab", candidates="beam", num_samples=2)
