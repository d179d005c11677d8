"""The candidates of each source, and their order by numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM

#: Called with two lists of texts of the same length; returns a number for each pair.
PairFunction = Callable[[list[str], list[str]], Iterable[float]]


@dataclass(frozen=True)
class Candidates:
    """Generated texts of one source; each text once.

    Attributes:
        texts: in the order in which they were generated.
        scores: float64 `[N]`, the model's own; of several equal texts the greatest.
        log_probs: float64 `[N]`, the sum of the model's log-probabilities of the ids of each; of
            several ids with the same text the logarithm of their sum.
        counts: int64 `[N]`, how often each was generated.
        token_ids: of each text its likeliest ids, an int32 array without padding.
    """

    texts: list[str]
    scores: np.ndarray
    log_probs: np.ndarray
    counts: np.ndarray
    token_ids: list[np.ndarray]


@dataclass(frozen=True)
class RankedTexts:
    """Candidates of each source, best first.

    Attributes:
        texts: the best of each source.
        candidates: all of each source, best first; each text once.
        values: float64 `[N]` for each source, by which they are ordered.
        log_probs: float64 `[N]` for each source, the logarithm of the probability that the model
            gives to each candidate, of all ids with its text that were generated.
        token_ids: for each source the ids of each candidate, int32 `[T]`, EOS included; of several
            with its text the likeliest.
    """

    texts: list[str]
    candidates: list[list[str]]
    values: list[np.ndarray]
    log_probs: list[np.ndarray]
    token_ids: list[list[np.ndarray]]


def chooses_search(options: Mapping[str, Any]) -> bool:
    """Returns whether options of a call say how results are searched for."""
    names = ("sampler", "num_beams", "do_sample", "num_beam_groups")
    return any(options.get(name) is not None for name in names)


def beams_of(model: Seq2SeqLM, options: Mapping[str, Any]) -> int:
    """Returns the beams of the search that a call chooses, its own or the model's; 1 for none."""
    if (given := options.get("num_beams")) is not None:
        return given if isinstance(given, int) else 1  # `generate` says what is wrong with it
    searches = options.get("sampler") in (None, "beam", "beam_sample", "diverse_beam")
    if not chooses_search(options) or not searches:
        return 1
    return model.generation_config.num_beams or 1


def generated_candidates(
    model: Seq2SeqLM, sources: Sequence[str], options: dict[str, Any]
) -> list[Candidates]:
    """Generates the candidates of each source.

    Args:
        model: a model with a preprocessor.
        sources: texts.
        options: of `generate`.

    Raises:
        ValueError: the model has no preprocessor.
    """
    if model.preprocessor is None:
        raise ValueError(
            "reranking compares texts, and this model has no preprocessor; give it one: "
            "model.preprocessor = text.Preprocessor(...)"
        )
    if "return_output" in options:
        raise ValueError("return_output is no option of candidates; leave it out of them")
    output = model.generate(list(sources), return_output=True, **options)
    found = []
    for i, texts in enumerate(output.texts or []):
        lengths, scores = np.atleast_1d(output.lengths[i]), np.atleast_1d(output.scores[i])
        ids = np.atleast_2d(output.token_ids[i])
        sums = np.atleast_2d(output.token_log_probs[i]).sum(axis=-1, dtype="float64")
        by_text: dict[str, list[int]] = {}
        for n, text in enumerate([texts] if isinstance(texts, str) else texts):
            if lengths[n]:  # an empty place: rules have left fewer results
                by_text.setdefault(text, []).append(n)
        log_probs, likeliest = [], []
        for places in by_text.values():
            rows = {tuple(ids[n, : lengths[n]].tolist()): sums[n] for n in places}
            log_probs.append(np.logaddexp.reduce(list(rows.values())))
            likeliest.append(np.array(max(rows, key=lambda row: rows[row]), "int32"))
        found.append(
            Candidates(
                list(by_text),
                np.array([max(scores[places]) for places in by_text.values()], "float64"),
                np.array(log_probs),
                np.array([len(places) for places in by_text.values()]),
                likeliest,
            )
        )
    return found


def ranked(found: Sequence[Candidates], values: Sequence[np.ndarray]) -> RankedTexts:
    """Orders candidates by numbers, greatest first; of equal ones the first stays the first.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    for number, each in enumerate(values):
        if not np.isfinite(each).all():
            raise ValueError(
                f"source {number}: candidates have values that are not finite ({each}), since the "
                "model gives some of them the probability 0; leave out model_weight, or "
                "weights='probabilities'"
            )
    orders = [np.argsort(-each, kind="stable") for each in values]
    rows = list(zip(found, orders, strict=True))
    candidates = [[c.texts[n] for n in order] for c, order in rows]
    return RankedTexts(
        [each[0] for each in candidates],
        candidates,
        [value[order] for value, order in zip(values, orders, strict=True)],
        [c.log_probs[order] for c, order in rows],
        [[c.token_ids[n] for n in order] for c, order in rows],
    )


def pair_values(
    name: str, function: PairFunction, first: list[str], second: list[str]
) -> np.ndarray:
    """Returns what a function of the caller's gives for pairs of texts: float64 `[N]`.

    Args:
        name: of the argument, for messages.
        function: is called once, with all pairs; not at all where there are none.
        first, second: texts of the pairs.

    Raises:
        ValueError: there is not one finite number for each pair.
    """
    if not first:
        return np.zeros(0)
    from keras import ops

    returned: Any = function(first, second)
    if ops.is_tensor(returned):
        returned = ops.convert_to_numpy(returned)
    try:
        found = np.asarray(list(returned), dtype="float64")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} returned {returned!r:.60}; expected a number for each of {len(first)} pairs "
            f"of texts ({error})"
        ) from None
    if found.shape != (len(first),):
        raise ValueError(
            f"{name} returned an array of shape {found.shape}; expected a number for each of "
            f"{len(first)} pairs of texts"
        )
    if not np.isfinite(found).all():
        n = int(np.flatnonzero(~np.isfinite(found))[0])
        what = "NaN" if math.isnan(found[n]) else "an infinite number"
        raise ValueError(f"{name} returned {what} for {first[n]!r} and {second[n]!r}")
    return found


def as_texts(x: Any) -> list[str]:
    """Returns the sources of a call.

    Raises:
        TypeError: they are no texts.
    """
    if isinstance(x, Mapping) or not isinstance(x, Iterable):
        raise TypeError(f"x is a {type(x).__name__}; reranking compares texts: pass one, or a list")
    texts = [x] if isinstance(x, str) else list(x)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"source {i} is {type(text).__name__}; reranking compares texts")
    return texts
