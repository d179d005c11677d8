"""Corpus metrics, held against sacreBLEU itself."""

from __future__ import annotations

import pytest
import sacrebleu

from keras_s2s.training.evaluation import corpus_metrics

HYPOTHESES = ["Ein Hund läuft im Schnee .", "Zwei Männer sitzen auf einer Bank.", "한국어 문장"]
REFERENCES = ["Ein Hund rennt im Schnee.", "Zwei Männer sitzen auf der Bank.", "한국어 문장"]


def test_values_are_sacrebleus() -> None:
    measured = corpus_metrics(HYPOTHESES, REFERENCES, ["bleu", "chrf"])
    assert measured["bleu"] == sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score
    assert measured["chrf"] == sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score
    assert "tok:13a" in str(measured["bleu_signature"])


def test_exact_match_is_a_percentage() -> None:
    assert corpus_metrics(HYPOTHESES, REFERENCES, ["exact_match"]) == {
        "exact_match": pytest.approx(100 / 3)
    }


@pytest.mark.parametrize(
    ("hypotheses", "references", "metrics", "message"),
    [
        (["a"], ["a", "b"], ["bleu"], "1 hypotheses but 2 references"),
        ([], [], ["bleu"], "nothing to measure"),
        (["a"], ["a"], ["rouge"], "unknown metric 'rouge'"),
    ],
)
def test_what_cannot_be_measured_is_refused(hypotheses, references, metrics, message) -> None:
    with pytest.raises(ValueError, match=message):
        corpus_metrics(hypotheses, references, metrics)
