"""The best ids of each row that the rules of a plan allow."""

from __future__ import annotations

from keras_s2s.samplers.blockwise_top_k import top_k
from keras_s2s.samplers.context import Sources, all_take_candidates
from keras_s2s.samplers.gather import gather
from keras_s2s.samplers.log_probabilities import log_probabilities, log_probabilities_at
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.processing import process
from keras_s2s.typing import Tensor

#: If the rules of a plan may forbid more ids than this, they are applied to all scores: to find
#: that many further ids would take longer.
A_FEW = 32


def best_allowed(
    logits: Tensor,
    width: int,
    histories: Tensor,
    index: Tensor,
    plan: Plan,
    sources: Sources,
    alive: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the best ids of each row, best first; fewer where there are fewer ids.

    If the rules forbid at most n ids of a row, only its N + n best ids are looked at, and the rules
    are applied to these.

    Args:
        logits: float32 `[R, V]`.
        width: N, how many.
        histories: int32 `[B, K, C]`, as `process` takes them.
        index: number of the step.
        plan, sources: of the generation.
        alive: bool `[B, K]`.

    Returns:
        their scores under the rules, their ids, and the model's own log-probabilities of them:
        `[R, N]` each.
    """
    known = logits.shape[-1]  # None where a graph is traced for shortlists of any size
    width = width if known is None else min(width, known)
    forbidden = most_forbidden(plan)
    if forbidden is None or (known is not None and width + forbidden > known):
        raw = log_probabilities(logits)
        scores, places = top_k(process(raw, histories, index, plan, sources, alive), width)
        return scores, sources.ids_at(places), gather(raw, places)
    _, places = top_k(logits, width + forbidden)
    raw, ids = log_probabilities_at(logits, places), sources.ids_at(places)
    if not forbidden:
        return raw, ids, raw
    sources = sources._replace(candidates=ids)
    scores, best = top_k(process(raw, histories, index, plan, sources, alive), width)
    return scores, gather(ids, best), gather(raw, best)


def most_forbidden(plan: Plan) -> int | None:
    """Returns how many ids the rules of a plan forbid at most in a row, 0 where it has none; None
    where they do more than forbid a few, or results have prefixes.
    """
    if plan.prefixed or not all_take_candidates(plan.processors):
        return None
    # Said for its own class, as `takes_candidates`: a subclass may forbid other ids.
    counts = [
        rule.most_forbidden(plan) if "most_forbidden" in vars(type(rule)) else None
        for rule in plan.processors
    ]
    total = sum(count for count in counts if count is not None)
    return None if None in counts or total > A_FEW else total
