"""The rule that makes probabilities of scores again, after all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_s2s.samplers.context import Step
from keras_s2s.samplers.processors.base import FORBIDDEN, LogitsProcessor
from keras_s2s.typing import Tensor


@dataclass(frozen=True)
class Renormalize(LogitsProcessor):
    """Normalises the scores again after the other rules.

    Without it, the scores of hypotheses in a beam search are too low by the probability that rules
    have removed.
    """

    takes_candidates = True

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        normalised = scores - ops.logsumexp(scores, axis=-1, keepdims=True)
        # Where everything is forbidden, it stays forbidden.
        return ops.where(scores > FORBIDDEN, normalised, scores)
