"""Minimum Bayes risk decoding: the candidate with the greatest expected utility."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from keras_s2s.options.generation import OPTIONS
from keras_s2s.options.kinds import whole
from keras_s2s.reranking.candidates import (
    Candidates,
    PairFunction,
    RankedTexts,
    as_texts,
    beams_of,
    chooses_search,
    generated_candidates,
    pair_values,
    ranked,
)
from keras_s2s.reranking.utilities import utility_of

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
    utility: PairFunction | str = "chrf",
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
        utility: "chrf" and "bleu" (sacreBLEU's of a sentence), "rouge" (ROUGE-L), "exact_match";
            or a function, which is called with two lists of texts, candidates and samples, pair by
            pair, and returns a number for each.
        weights: "samples" counts each sample as often as it was drawn; "probabilities" counts each
            distinct one with its probability by the model, for results that are not drawn
            (`num_beams=16`, `num_return_sequences` then being `num_samples`).
        candidates: options of `generate` for candidates of their own, such as
            `{"num_beams": 8, "num_return_sequences": 8}`, beside those of the call that are not
            about the search (languages, limits, rules); without it the samples are the candidates.
        return_output: return all candidates and their expected utilities.
        generation_options: of `generate`, for the samples; by default sampling from the whole
            distribution. A `seed` makes them repeat.

    Returns:
        a text for a text, a list for texts; or `RankedTexts`.

    Raises:
        ValueError: `utility` is unknown, or does not return a finite number for each pair; or as
            `generate`.
        TypeError: sources that are no texts.
        ImportError: what computes `utility` is not installed.

    Example:
        >>> minimum_bayes_risk(model, "ein Hund", num_samples=8, seed=1)
        'a dog'
    """
    if weights not in ("samples", "probabilities"):
        raise ValueError(f"weights={weights!r} must be 'samples' or 'probabilities'")
    if generation_options.pop("num_return_sequences", None) is not None:
        raise ValueError("the results of a source are num_samples; leave num_return_sequences out")
    function = utility_of(utility)
    sources = as_texts(x)
    whole("num_samples", num_samples)
    beams = beams_of(model, generation_options)
    if 1 < beams < num_samples:
        raise ValueError(
            f"num_samples={num_samples} is more than num_beams={beams}, and a search has no more "
            f"results than beams; pass num_samples={beams}, or draw them (sampler='random')"
        )
    options = {"num_return_sequences": num_samples, **generation_options}
    if not chooses_search(options):
        options = {name: value for name, value in options.items() if value is not None}
        options = {**WHOLE_DISTRIBUTION, **options}
    samples = generated_candidates(model, sources, options)
    own = samples
    if candidates is not None:
        if not isinstance(candidates, Mapping):
            raise TypeError(f"candidates={candidates!r} must be a mapping: options of generate")
        shared = {k: v for k, v in generation_options.items() if not _is_about_the_search(k)}
        own = generated_candidates(model, sources, {**shared, **candidates})
    values = _expected(own, samples, function, weights)
    result = ranked(own, values)
    if return_output:
        return result
    return result.texts[0] if isinstance(x, str) else result.texts


def _is_about_the_search(name: str) -> bool:
    """Returns whether an option belongs to the samples, and not to their candidates as well."""
    option = OPTIONS.get(name)
    if option is None:  # an argument of `generate` itself: a language, the batch size
        return False
    return name in ("sampler", "seed") or option.chooses or bool(option.strategies)


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
