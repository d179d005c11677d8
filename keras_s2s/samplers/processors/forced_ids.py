"""Rules that force the first or the last id of a result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_s2s.samplers.context import Sources, Step
from keras_s2s.samplers.processors.base import LogitsProcessor
from keras_s2s.samplers.processors.operations import forbid, is_token, nowhere
from keras_s2s.typing import Tensor


def _only(scores: Tensor, token: int, when: Tensor, sources: Sources) -> Tensor:
    """Forbids all ids but `token` where `when` holds: bool `[1, 1]` or `[R, 1]`."""
    if nowhere(when):
        return scores
    chosen = is_token(scores, [token], sources)
    forced = forbid(scores, ops.logical_and(ops.logical_not(chosen), when))
    # A forced id scores 0: it is chosen by the rule, not by the model.
    return ops.where(ops.logical_and(chosen, when), ops.zeros_like(forced), forced)


@dataclass(frozen=True)
class ForcedBos(LogitsProcessor):
    """Forces the first generated id to be `token`, e.g. a language code."""

    takes_candidates = True

    token: int

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        first = ops.reshape(ops.equal(step.index, 0), (-1, 1))
        return _only(scores, self.token, first, step.sources)


@dataclass(frozen=True)
class ForcedEos(LogitsProcessor):
    """Forces the last id that fits to be `token`."""

    takes_candidates = True

    token: int

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        last = ops.equal(step.of_rows(step.sources.limits), step.index + 1)
        return _only(scores, self.token, last[:, None], step.sources)
