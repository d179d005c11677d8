"""Exact match and F1 of answers to questions, as the scripts of SQuAD 1.1 and KorQuAD 1.0 count.

Texts are normalised before they are compared, and of several right answers the best one counts.
F1 compares words in SQuAD [Rajpurkar 2016], and characters in KorQuAD [Lim 2019], where particles
are part of a word.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

from keras_s2s.text.answer import accepted_answers

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")

#: Signs that KorQuAD's script takes for spaces, before it removes punctuation.
_SPACES = str.maketrans(dict.fromkeys("'\"《》<>〈〉()‘’", " "))


def squad_tokens(text: str) -> list[str]:
    """Returns the words of a text in lower case, without punctuation and English articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def korquad_words(text: str) -> list[str]:
    """Returns the words of a text in lower case, without brackets, quotes and punctuation."""
    return text.translate(_SPACES).lower().translate(_PUNCTUATION).split()


#: Metric -> words of a text, and what F1 compares of them.
QUESTION_METRICS: dict[str, tuple[Callable[[str], list[str]], Callable[[list[str]], list[str]]]] = {
    "korquad": (korquad_words, lambda words: list("".join(words))),
    "squad": (squad_tokens, lambda words: words),
}


#: Metric -> how it is measured, in the way of sacreBLEU's signatures.
ANSWER_SIGNATURES = {
    "korquad": "nrefs:var|case:lc|norm:korquad1.0|f1:characters",
    "squad": "nrefs:var|case:lc|norm:squad1.1|f1:words",
}


def answer_scores(
    hypotheses: Sequence[str], references: Sequence[str], metric: str
) -> dict[str, float]:
    """Returns exact match and F1, from 0 to 100, averaged over the questions.

    Args:
        hypotheses: generated texts.
        references: right answers; an `Answer` has several.
        metric: "korquad" or "squad".

    Returns:
        `korquad_exact_match` and `korquad_f1`, or `squad_exact_match` and `squad_f1`.
    """
    split, parts = QUESTION_METRICS[metric]
    exact = f1 = 0.0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        found = split(hypothesis)
        right = [split(answer) for answer in accepted_answers(reference)]
        exact += max(found == words for words in right)
        f1 += max(_f1(parts(found), parts(words)) for words in right)
    return {
        f"{metric}_exact_match": 100.0 * exact / len(references),
        f"{metric}_f1": 100.0 * f1 / len(references),
    }


def _f1(found: list[str], right: list[str]) -> float:
    same = sum((Counter(found) & Counter(right)).values())
    if not same:
        return 0.0
    precision, recall = same / len(found), same / len(right)
    return 2 * precision * recall / (precision + recall)
