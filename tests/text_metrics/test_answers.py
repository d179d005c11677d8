"""Exact match and F1 of answers, against what the scripts of SQuAD and KorQuAD do, step by step."""

from __future__ import annotations

import pytest
from small_models import COMPILES

from keras_s2s.data import Answer
from keras_s2s.text_metrics.corpus_metrics import corpus_metrics

# No backend has a part in this.
pytestmark = [pytest.mark.slow] if COMPILES else []


def measured(metric: str, hypothesis: str, reference: str) -> tuple[float, float]:
    found = corpus_metrics([hypothesis], [reference], [metric])
    return found[f"{metric}_exact_match"], found[f"{metric}_f1"]


@pytest.mark.parametrize(
    ("hypothesis", "reference", "expected"),
    [
        # Quotes and brackets are spaces, other punctuation is nothing.
        ("《삼국지》", "삼국지", (100, 100)),
        ("서울(수도)", "서울 수도", (100, 100)),
        ("1,000명", "1000명", (100, 100)),
        ("LG 전자", "lg 전자", (100, 100)),
        # Characters are compared, not words: 5 of 6, and 5 of 5, with the particle.
        ("1989년에", "1989년", (0, 100 * 2 * (5 / 6) / (5 / 6 + 1))),
        # Spaces between words do not count for F1, but for exact match.
        ("서울 시", "서울시", (0, 100)),
        ("부산", "서울", (0, 0)),
        ("", "서울", (0, 0)),
        # The articles of English stay.
        ("the end", "end", (0, 100 * 2 * (3 / 6) / (3 / 6 + 1))),
    ],
)
def test_korquad(hypothesis: str, reference: str, expected: tuple[float, float]) -> None:
    assert measured("korquad", hypothesis, reference) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("hypothesis", "reference", "expected"),
    [
        ("The end.", "end", (100, 100)),
        ("a cat's tail", "cats tail", (100, 100)),
        # One of two words, and one of one.
        ("Denver Broncos", "Broncos", (0, 100 * 2 * 0.5 / 1.5)),
        ("Broncos Broncos", "Broncos", (0, 100 * 2 * 0.5 / 1.5)),
        ("theatre", "the atre", (0, 0)),
        ("Denver", "Broncos", (0, 0)),
    ],
)
def test_squad(hypothesis: str, reference: str, expected: tuple[float, float]) -> None:
    assert measured("squad", hypothesis, reference) == pytest.approx(expected)


def test_the_best_of_several_answers_counts() -> None:
    reference = Answer(("1989년 2월", "1989년"))
    assert reference == "1989년 2월"
    assert measured("korquad", "1989년", reference) == (100, 100)
    assert measured("korquad", "1989년", "1989년 2월")[0] == 0
    assert corpus_metrics(["1989년"], [reference], ["exact_match"])["exact_match"] == 0


def test_means_are_over_the_questions() -> None:
    found = corpus_metrics(["가나", "다"], ["가나", "라"], ["korquad", "squad"])
    assert found.pop("korquad_signature").endswith("f1:characters")
    assert found.pop("squad_signature").endswith("f1:words")
    assert found == dict.fromkeys(found, 50.0)
    assert len(found) == 4
