"""Utilities of pairs of texts by name: how good a candidate is if a sample is what is meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keras_s2s.config.nearest import did_you_mean
from keras_s2s.reranking.candidates import PairFunction


def sentence_chrf(candidates: list[str], references: list[str]) -> list[float]:
    """Returns sacreBLEU's chrF of each candidate, from 0 to 100.

    Args:
        candidates, references: texts, pair by pair.

    Raises:
        ImportError: sacreBLEU is not installed.

    Example:
        >>> sentence_chrf(["a dog"], ["a dog"])
        [100.0]
    """
    metric = _sacrebleu("chrF").CHRF()
    return _sentence_scores(metric, candidates, references)


def sentence_bleu(candidates: list[str], references: list[str]) -> list[float]:
    """Returns sacreBLEU's BLEU of each candidate, from 0 to 100, of n-grams as long as there are.

    Its tokenizer follows the script of the references.

    Args:
        candidates, references: texts, pair by pair.

    Raises:
        ImportError: sacreBLEU is not installed.

    Example:
        >>> [round(value) for value in sentence_bleu(["a dog"], ["a dog"])]
        [100]
    """
    from keras_s2s.text_metrics.bleu_tokenizer import tokenizer_for
    from keras_s2s.text_metrics.target_language import segmentation

    metrics = _sacrebleu("BLEU")
    tokenizer, _ = tokenizer_for(segmentation(None, references)[0])
    metric = metrics.BLEU(effective_order=True, tokenize=tokenizer)
    return _sentence_scores(metric, candidates, references)


def sentence_rouge(candidates: list[str], references: list[str]) -> list[float]:
    """Returns ROUGE-L of each candidate, its F-measure from 0 to 100.

    Its tokenizer follows the script of the references.

    Args:
        candidates, references: texts, pair by pair.

    Raises:
        ImportError: rouge-score is not installed.

    Example:
        >>> sentence_rouge(["a dog"], ["a dog"])
        [100.0]
    """
    from keras_s2s.text_metrics.rouge import check_rouge, rouge_tokenizer

    check_rouge()
    from rouge_score.rouge_scorer import RougeScorer

    tokenizer, _ = rouge_tokenizer(None, references)
    scorer = RougeScorer(["rougeL"], tokenizer=tokenizer)
    pairs = zip(candidates, references, strict=True)
    return [100.0 * scorer.score(r, c)["rougeL"].fmeasure for c, r in pairs]


def exact_match(candidates: list[str], references: list[str]) -> list[float]:
    """Returns 100 for each candidate that is its reference, and 0 for others.

    The expected utility is the share of samples with this text: the likeliest text wins.

    Example:
        >>> exact_match(["a dog", "a cat"], ["a dog", "a dog"])
        [100.0, 0.0]
    """
    return [100.0 * (c == r) for c, r in zip(candidates, references, strict=True)]


#: Functions of pairs by their names, which are those of the metrics of `evaluate`.
UTILITIES: dict[str, PairFunction] = {
    "chrf": sentence_chrf,
    "bleu": sentence_bleu,
    "rouge": sentence_rouge,
    "exact_match": exact_match,
}


def utility_of(given: PairFunction | str) -> PairFunction:
    """Returns the function that a call names.

    Args:
        given: a function, or one of `UTILITIES`.

    Raises:
        ValueError: none has this name.
        TypeError: it is neither a name nor a function.

    Example:
        >>> utility_of("exact_match")(["a"], ["a"])
        [100.0]
    """
    if callable(given):
        return given
    if not isinstance(given, str):
        raise TypeError(f"utility={given!r} must be a function of pairs, or {_names()}")
    if given not in UTILITIES:
        hint = did_you_mean(given, UTILITIES) or f"expected {_names()}, or a function of pairs"
        raise ValueError(f"utility={given!r} is unknown; {hint}")
    return UTILITIES[given]


def _names() -> str:
    return ", ".join(map(repr, UTILITIES))


def _sacrebleu(metric: str) -> Any:
    try:
        import sacrebleu.metrics
    except ImportError as error:
        raise ImportError(
            f"{metric} needs sacreBLEU ({error}): pip install sacrebleu, or pass utility=..."
        ) from None
    return sacrebleu.metrics


def _sentence_scores(
    metric: Any, candidates: Iterable[str], references: Iterable[str]
) -> list[float]:
    pairs = zip(candidates, references, strict=True)
    return [metric.sentence_score(text, [reference]).score for text, reference in pairs]
