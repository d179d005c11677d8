"""Metrics of generated texts: BLEU, chrF, ROUGE, exact match, and F1 of answers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from keras_s2s.text_metrics.answers import ANSWER_SIGNATURES, QUESTION_METRICS, answer_scores
from keras_s2s.text_metrics.bleu_tokenizer import make_tokenizer, tokenizer_for
from keras_s2s.text_metrics.rouge import (
    check_rouge,
    rouge_scores,
    rouge_signature,
    rouge_tokenizer,
)
from keras_s2s.text_metrics.target_language import segmentation

logger = logging.getLogger(__name__)

METRICS = ("bleu", "chrf", "rouge", "exact_match", "korquad", "squad")

#: Texts are compared as they are, in the form of sacreBLEU's signatures.
EXACT_MATCH_SIGNATURE = "nrefs:1|case:mixed|norm:none|tok:none"

#: One language of all references, or one for each.
Language = str | Sequence[str | None] | None


class TextMetrics:
    """Metrics of generated texts against one reference each.

    Args:
        metrics: names out of `METRICS`; `rouge` is short for rouge1, rouge2 and rougeL,
            `korquad` and `squad` for exact match and F1 as their scripts count them.
        references: the expected texts.
        tgt_lang: their language, or one for each. BLEU's and ROUGE's tokenizers follow it; where
            it is not known, the script of the references.
        bleu_tokenize: one of sacreBLEU's tokenizers, instead of the language's.

    Raises:
        ValueError: an unknown metric or tokenizer, no reference, a tokenizer that would have to
            be downloaded, or languages that need different ones.
        ImportError: a package is missing for what was asked for.

    Example:
        >>> metrics = TextMetrics(["bleu"], ["今天天气很好。"])
        >>> metrics.signatures["bleu_signature"]
        'nrefs:1|case:mixed|eff:no|tok:zh|smooth:exp|version:2.6.0'
    """

    def __init__(
        self,
        metrics: Sequence[str],
        references: Sequence[str],
        *,
        tgt_lang: Language = None,
        bleu_tokenize: str | None = None,
    ) -> None:
        check_metrics(metrics, bleu_tokenize=bleu_tokenize)
        if not references:
            raise ValueError("nothing to measure: there is no reference")
        self.metrics = tuple(metrics)
        self.references = list(references)
        self.signatures: dict[str, str] = {}
        self._sacrebleu: dict[str, Any] = {}
        if "bleu" in metrics:
            self._sacrebleu["bleu"] = self._bleu(tgt_lang, bleu_tokenize)
        if "chrf" in metrics:
            from sacrebleu.metrics import CHRF

            self._sacrebleu["chrf"] = CHRF(references=[self.references])
        for name, metric in self._sacrebleu.items():
            self.signatures[f"{name}_signature"] = str(metric.get_signature())
        if "exact_match" in metrics:
            self.signatures["exact_match_signature"] = EXACT_MATCH_SIGNATURE
        for name in QUESTION_METRICS:
            if name in metrics:
                self.signatures[f"{name}_signature"] = ANSWER_SIGNATURES[name]
        if "rouge" in metrics:
            self._tokenizer, why = rouge_tokenizer(tgt_lang, self.references)
            self.signatures["rouge_signature"] = rouge_signature(self._tokenizer)
            logger.info("ROUGE: tokenizer %s (%s)", self._tokenizer.signature, why)

    def _bleu(self, tgt_lang: Language, chosen: str | None) -> Any:
        from sacrebleu.metrics import BLEU

        references = [self.references]
        if chosen is not None:
            # "none" is for texts that are tokenised, about which sacreBLEU would warn.
            return BLEU(tokenize=chosen, references=references, force=chosen == "none")
        way, why = segmentation(tgt_lang, self.references)
        name, note = tokenizer_for(way)
        if name != "13a":
            level = logging.WARNING if note else logging.INFO
            logger.log(level, "BLEU: tokenizer %s (%s%s)", name, why, note)
        return BLEU(tokenize=name, references=references)

    def measure(self, hypotheses: Sequence[str]) -> dict[str, float]:
        """Returns the metrics by name, from 0 to 100; `signatures` says how they were measured.

        Args:
            hypotheses: generated texts, detokenised, one for each reference.

        Raises:
            ValueError: there are not as many as references.
        """
        if len(hypotheses) != len(self.references):
            raise ValueError(f"{len(hypotheses)} hypotheses but {len(self.references)} references")
        values: dict[str, float] = {}
        for name in self.metrics:
            if name == "exact_match":
                equal = sum(h == r for h, r in zip(hypotheses, self.references, strict=True))
                values[name] = 100.0 * equal / len(self.references)
            elif name in QUESTION_METRICS:
                values.update(answer_scores(hypotheses, self.references, name))
            elif name == "rouge":
                values.update(rouge_scores(hypotheses, self.references, self._tokenizer))
            else:
                values[name] = self._sacrebleu[name].corpus_score(list(hypotheses), None).score
        return values


def first_hypotheses(generated: Sequence[str | Sequence[str]]) -> list[str]:
    """Returns one text for each source: the first, which is the best, where there are several.

    Example:
        >>> first_hypotheses([["a dog", "the dog"], ["a cat", "cats"]])
        ['a dog', 'a cat']
    """
    return [found if isinstance(found, str) else found[0] for found in generated]


def check_metrics(metrics: Sequence[str], *, bleu_tokenize: str | None = None) -> None:
    """Raises an error for metrics that cannot be measured here, before any work is done.

    Args:
        metrics: names.
        bleu_tokenize: one of sacreBLEU's tokenizers.

    Raises:
        ValueError, ImportError: see `TextMetrics`.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise ValueError(f"unknown metric {unknown[0]!r}; metrics are {', '.join(METRICS)}")
    if bleu_tokenize is not None:
        if "bleu" not in metrics:
            raise ValueError(
                f"bleu_tokenize is {bleu_tokenize!r}, but bleu is not among the metrics "
                f"({', '.join(metrics)}); add it, or leave bleu_tokenize out"
            )
        make_tokenizer(bleu_tokenize)
    if "rouge" in metrics:
        check_rouge()


def corpus_metrics(
    hypotheses: Sequence[str],
    references: Sequence[str],
    metrics: Sequence[str],
    *,
    tgt_lang: Language = None,
    bleu_tokenize: str | None = None,
) -> dict[str, float | str]:
    """Measures generated texts against one reference each.

    Args:
        hypotheses: generated texts, detokenised.
        references: the texts they should be.
        metrics: names out of `METRICS`.
        tgt_lang: language of the references, or one for each; see `TextMetrics`.
        bleu_tokenize: one of sacreBLEU's tokenizers, instead of the language's.

    Returns:
        per metric its value, from 0 to 100 (three for `rouge`, two for `korquad` and `squad`), and
        the signature, under `<name>_signature`, without which a BLEU cannot be compared.

    Raises:
        ValueError: an unknown metric, no texts, or lists of unequal length.
        ImportError: a package is missing for what was asked for.

    Example:
        >>> corpus_metrics(["a b"], ["a b"], ["exact_match"])
        {'exact_match': 100.0, 'exact_match_signature': 'nrefs:1|case:mixed|norm:none|tok:none'}
    """
    if len(hypotheses) != len(references):
        raise ValueError(f"{len(hypotheses)} hypotheses but {len(references)} references")
    if not hypotheses:
        raise ValueError("nothing to measure: there is no hypothesis")
    measured = TextMetrics(metrics, references, tgt_lang=tgt_lang, bleu_tokenize=bleu_tokenize)
    return {**measured.measure(hypotheses), **measured.signatures}
