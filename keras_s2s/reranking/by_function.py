"""Reranks the n-best lists of a model by a function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras_s2s.options.kinds import Real
from keras_s2s.reranking.candidates import (
    PairFunction,
    RankedTexts,
    as_texts,
    beams_of,
    chooses_search,
    generated_candidates,
    pair_values,
    ranked,
)

if TYPE_CHECKING:
    from keras_s2s.model import Seq2SeqLM

#: Results of each source where a call does not say how many.
NUM_CANDIDATES = 5


def rerank(
    model: Seq2SeqLM,
    x: str | Sequence[str],
    function: PairFunction,
    *,
    model_weight: float = 0.0,
    return_output: bool = False,
    **generation_options: Any,
) -> str | list[str] | RankedTexts:
    """Generates several target texts for each source, and returns the best by a function.

    Args:
        model: a model with a preprocessor.
        x: a text, or texts.
        function: is called once, with two lists: sources and candidates, pair by pair; returns a
            number for each, greater ones for better candidates. A model's `score` the other way
            round, for example.
        model_weight: the model's own scores (`GenerationOutput.scores`) are multiplied by this and
            added; a finite number.
        return_output: return all candidates and their numbers.
        generation_options: of `generate`; by default a beam search for 5 results, or for
            `num_beams` of them.

    Returns:
        a text for a text, a list for texts; or `RankedTexts`.

    Raises:
        ValueError: `function` does not return a finite number for each pair; or as `generate`.
        TypeError: sources that are no texts, or a function that is none.

    Example:
        >>> def shortest(sources, candidates):
        ...     return [-len(text) for text in candidates]
        >>> rerank(model, "ein Hund", shortest, num_beams=4, num_return_sequences=4)
        'a dog'
    """
    if not callable(function):
        raise TypeError(f"function={function!r} must be a function of sources and candidates")
    weight = Real("must be a finite number").check("model_weight", model_weight)
    sources = as_texts(x)
    options = dict(generation_options)
    beams = beams_of(model, options)
    if options.get("num_return_sequences") is None:
        options["num_return_sequences"] = NUM_CANDIDATES if beams == 1 else beams
    if not chooses_search(options):
        options["num_beams"] = max(NUM_CANDIDATES, options["num_return_sequences"])
    found = generated_candidates(model, sources, options)
    pairs = [(source, text) for source, c in zip(sources, found, strict=True) for text in c.texts]
    flat = pair_values("function", function, [a for a, _ in pairs], [b for _, b in pairs])
    values, begin = [], 0
    for each in found:
        end = begin + len(each.texts)
        values.append(flat[begin:end] + (weight * each.scores if weight else 0.0))
        begin = end
    result = ranked(found, values)
    if return_output:
        return result
    return result.texts[0] if isinstance(x, str) else result.texts
