"""How good generated texts are: BLEU and chrF by sacreBLEU, and exact match."""

from __future__ import annotations

from collections.abc import Sequence

METRICS = ("bleu", "chrf", "exact_match")


def corpus_metrics(
    hypotheses: Sequence[str], references: Sequence[str], metrics: Sequence[str]
) -> dict[str, float | str]:
    """Measure hypotheses against one reference each.

    Args:
        hypotheses: generated texts, detokenised.
        references: the texts they should be.
        metrics: names out of `METRICS`.

    Returns:
        per metric its value, from 0 to 100, and for sacreBLEU's also its signature, under
        `<name>_signature`, without which a BLEU cannot be compared.

    Raises:
        ValueError: an unknown metric, no texts, or lists of unequal length.

    Example:
        >>> corpus_metrics(["a b"], ["a b"], ["exact_match"])
        {'exact_match': 100.0}
    """
    if len(hypotheses) != len(references):
        raise ValueError(f"{len(hypotheses)} hypotheses but {len(references)} references")
    if not hypotheses:
        raise ValueError("nothing to measure: there is no hypothesis")
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise ValueError(f"unknown metric {unknown[0]!r}; metrics are {', '.join(METRICS)}")
    from sacrebleu.metrics import BLEU, CHRF

    result: dict[str, float | str] = {}
    for name in metrics:
        if name == "exact_match":
            equal = sum(h == r for h, r in zip(hypotheses, references, strict=True))
            result[name] = 100.0 * equal / len(references)
            continue
        metric = BLEU() if name == "bleu" else CHRF()
        result[name] = metric.corpus_score(list(hypotheses), [list(references)]).score
        result[f"{name}_signature"] = str(metric.get_signature())
    return result
