"""Applies the rules of a plan, and the prefixes of its results, to the scores of a step."""

from __future__ import annotations

from keras import ops

from keras_s2s.samplers.context import Sources, Step
from keras_s2s.samplers.gather import entry
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.processors import FORBIDDEN, LogitsProcessor
from keras_s2s.typing import Tensor


def in_prefix(sources: Sources, index: Tensor, plan: Plan) -> Tensor | None:
    """Returns whether the next id of each source lies in its prefix: bool `[B]`; None where no
    source has one.
    """
    if not plan.prefixed:
        return None
    return ops.cast(index, "int32") < sources.prefix_lengths


def process(
    scores: Tensor,
    tokens: Tensor,
    index: Tensor,
    plan: Plan,
    sources: Sources,
    alive: Tensor | None = None,
) -> Tensor:
    """Applies every rule of the plan, and then prefixes, whose ids rules cannot forbid.

    Args:
        scores: float32 `[R, V]`, logits or log-probabilities.
        tokens: int32 `[B, K, C]`, the histories.
        index: number of the step, or int32 `[R]`, see `Step`.
        alive: bool `[B, K]`, see `Step`; or None.
    """
    if not plan.processors and not plan.prefixed:
        return scores
    width = tokens.shape[1]
    if alive is not None:
        alive = ops.reshape(alive, (-1,))
    histories = ops.reshape(tokens, (-1, ops.shape(tokens)[-1]))
    step = Step(histories, index, sources, width, alive)
    for processor in plan.processors:
        scores = _of_the_same_shape(processor, processor(scores, step, plan), scores)
    if plan.prefixed:
        given = ops.cast(index, "int32") < step.of_rows(sources.prefix_lengths)
        place = ops.minimum(ops.cast(index, "int32"), ops.shape(sources.prefix)[1] - 1)
        token = entry(step.of_rows(sources.prefix), place)
        ids = sources.ids_at(ops.arange(ops.shape(scores)[-1], dtype="int32"))
        chosen = ids[None] == token[:, None]
        # A given id scores 0: it was not chosen.
        only = ops.where(chosen, ops.zeros_like(scores), ops.cast(FORBIDDEN, scores.dtype))
        scores = ops.where(given[:, None], only, scores)
    return scores


def _of_the_same_shape(rule: LogitsProcessor, found: Tensor, scores: Tensor) -> Tensor:
    """Returns the scores that a rule returned.

    Raises:
        ValueError: it returned none, or scores of other ids.
    """
    shape = getattr(found, "shape", None)
    if shape is None or len(shape) != 2 or shape[-1] != scores.shape[-1]:
        what = type(found).__name__ if shape is None else f"scores of the shape {tuple(shape)}"
        raise ValueError(
            f"the rule {type(rule).__name__} returned {what}; expected scores [R, V] as it was "
            f"given, with V = {scores.shape[-1]}"
        )
    return found
