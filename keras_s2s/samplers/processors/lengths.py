"""Rules on the lengths of results: when EOS is forbidden, and when it becomes likelier."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_s2s.samplers.context import Step
from keras_s2s.samplers.processors.base import FORBIDDEN, LogitsProcessor
from keras_s2s.samplers.processors.operations import forbid_ids, is_token, nowhere
from keras_s2s.typing import Tensor

#: Of multiples of lengths: this far from a whole number they are one.
ROUNDING = 1e-3


#: exp of it is the largest factor of a score.
LARGEST_EXPONENT = 60.0


@dataclass(frozen=True)
class MinLength(LogitsProcessor):
    """Forbids EOS before the result is `min_length` ids long, the decoder start counted."""

    takes_candidates = True

    min_length: int

    def most_forbidden(self, plan: Any) -> int:
        return len(plan.ends)

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        too_early = ops.reshape(ops.cast(step.index, "int32") + 1 < self.min_length, (-1, 1))
        if nowhere(too_early):
            return scores
        return forbid_ids(scores, plan.ends, step.sources, too_early)


@dataclass(frozen=True)
class MinNewTokens(LogitsProcessor):
    """Forbids EOS before `count` ids were generated, those of a prefix not counted."""

    takes_candidates = True

    count: int

    def most_forbidden(self, plan: Any) -> int:
        return len(plan.ends)

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        too_early = step.generated < self.count
        if nowhere(too_early):
            return scores
        return forbid_ids(scores, plan.ends, step.sources, too_early[:, None])


@dataclass(frozen=True)
class MinLengthRatio(LogitsProcessor):
    """Forbids EOS before a result has `ratio` times as many ids as its source, rounded up; those of
    a prefix do not count.
    """

    reads_source_ids = True
    takes_candidates = True

    ratio: float

    def most_forbidden(self, plan: Any) -> int:
        return len(plan.ends)

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        lengths = ops.sum(ops.cast(step.sources.mask, "float32"), axis=1)
        # Not a whole id more for what float32 rounds.
        least = ops.ceil(lengths * self.ratio - ROUNDING)
        too_early = step.generated < step.of_rows(ops.cast(least, "int32"))
        if nowhere(too_early):
            return scores
        return forbid_ids(scores, plan.ends, step.sources, too_early[:, None])


@dataclass(frozen=True)
class ExponentialDecayLengthPenalty(LogitsProcessor):
    """Raises the score of EOS, after a number of generated ids, by a growing share of its size.

    Args:
        penalty: `(start, factor)`: when `n` ids more than `start` were generated, the score `s` of
            EOS becomes `s + |s| (factor**n - 1)`. Ids of a prefix do not count.
    """

    takes_candidates = True

    penalty: tuple[int, float]

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        start, factor = self.penalty
        beyond = step.generated - start
        if nowhere(beyond > 0):
            return scores
        # Finite for any factor: an infinite score would have no probability.
        exponent = ops.cast(ops.maximum(beyond, 0), scores.dtype) * math.log(factor)
        growth = ops.exp(ops.minimum(exponent, LARGEST_EXPONENT))[:, None] - 1
        raised = scores + ops.abs(scores) * growth
        ends = ops.logical_and(is_token(scores, plan.ends, step.sources), scores > FORBIDDEN)
        return ops.where(ends, raised, scores)
