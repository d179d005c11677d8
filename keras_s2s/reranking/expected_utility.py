"""Minimum Bayes risk decoding: the candidate with the greatest expected utility."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from keras_s2s.options.kinds import whole
from keras_s2s.reranking.candidates import (
    Candidates,
    PairFunction,
    RankedTexts,
    as_texts,
    generated_candidates,
    pair_values,
    ranked,
)

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM

#: Options of samples where a call chooses nothing: a model's own defaults would leave ids out.
WHOLE_DISTRIBUTION = {
    "sampler": "random",
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
}


def minimum_bayes_risk(
    model: Seq2SeqLM,
    x: str | Sequence[str],
    *,
    num_samples: int = 32,
    utility: PairFunction | None = None,
    weights: Literal["samples", "probabilities"] = "samples",
    candidates: Mapping[str, Any] | None = None,
    return_output: bool = False,
    **generation_options: Any,
) -> str | list[str] | RankedTexts:
    """Generates the target text of each source that is most like all that the model may write.

    The expected utility of a candidate is the mean of its utility against samples of the model
    ([Eikema and Aziz 2020](https://aclanthology.org/2020.coling-main.398)). Where the likeliest
    text is unlike the others (too short, for example), this finds a text that agrees with many.

    Args:
        model: a model with a preprocessor.
        x: a text, or texts.
        num_samples: samples of each source, against which candidates are compared.
        utility: is called with two lists of texts, candidates and samples, pair by pair; returns a
            number for each. By default sacreBLEU's chrF of a sentence.
        weights: "samples" counts each sample as often as it was drawn; "probabilities" counts each
            distinct one with its probability by the model, for results that are not drawn
            (`num_beams=16`, `num_return_sequences` then being `num_samples`).
        candidates: options of `generate` for candidates of their own, such as
            `{"num_beams": 8, "num_return_sequences": 8}`; without it the samples are the
            candidates.
        return_output: return all candidates and their expected utilities.
        generation_options: of `generate`, for the samples; by default sampling from the whole
            distribution. A `seed` makes them repeat.

    Returns:
        a text for a text, a list for texts; or `RankedTexts`.

    Raises:
        ValueError: `utility` does not return a finite number for each pair; or as `generate`.
        TypeError: sources that are no texts.
        ImportError: sacreBLEU is not installed, and there is no `utility`.

    Example:
        >>> minimum_bayes_risk(model, "ein Hund", num_samples=8, seed=1)
        'a dog'
    """
    if weights not in ("samples", "probabilities"):
        raise ValueError(f"weights={weights!r} must be 'samples' or 'probabilities'")
    if "num_return_sequences" in generation_options:
        raise ValueError("the results of a source are num_samples; leave num_return_sequences out")
    sources = as_texts(x)
    options = {"num_return_sequences": whole("num_samples", num_samples), **generation_options}
    chooses = ("sampler", "num_beams", "do_sample", "num_beam_groups")
    if all(options.get(name) is None for name in chooses):
        options = {name: value for name, value in options.items() if value is not None}
        options = {**WHOLE_DISTRIBUTION, **options}
    samples = generated_candidates(model, sources, options)
    own = samples
    if candidates is not None:
        own = generated_candidates(model, sources, dict(candidates))
    values = _expected(own, samples, utility or sentence_chrf, weights)
    result = ranked(own, values)
    if return_output:
        return result
    return result.texts[0] if isinstance(x, str) else result.texts


def _expected(
    own: Sequence[Candidates], samples: Sequence[Candidates], utility: PairFunction, weights: str
) -> list[np.ndarray]:
    """Returns the expected utility of each candidate of each source."""
    pairs = [
        (candidate, sample)
        for mine, others in zip(own, samples, strict=True)
        for candidate in mine.texts
        for sample in others.texts
    ]
    flat = pair_values("utility", utility, [a for a, _ in pairs], [b for _, b in pairs])
    found, begin = [], 0
    for mine, others in zip(own, samples, strict=True):
        shape = len(mine.texts), len(others.texts)
        table = flat[begin : begin + shape[0] * shape[1]].reshape(shape)
        begin += shape[0] * shape[1]
        found.append(table @ _weights(others, weights))
    return found


def _weights(samples: Candidates, kind: str) -> np.ndarray:
    """Returns how much each distinct sample counts; they add up to 1."""
    if kind == "samples":
        return samples.counts / samples.counts.sum()
    likely = np.exp(samples.log_probs - samples.log_probs.max())
    return np.asarray(likely / likely.sum())


def sentence_chrf(candidates: list[str], references: list[str]) -> list[float]:
    """Returns sacreBLEU's chrF of each candidate, from 0 to 100.

    Args:
        candidates, references: texts, pair by pair.

    Example:
        >>> sentence_chrf(["a dog"], ["a dog"])
        [100.0]
    """
    try:
        from sacrebleu.metrics import CHRF
    except ImportError as error:
        raise ImportError(
            f"chrF needs sacreBLEU ({error}): pip install sacrebleu, or pass utility=..."
        ) from None
    metric = CHRF()
    pairs = zip(candidates, references, strict=True)
    return [metric.sentence_score(text, [reference]).score for text, reference in pairs]
