"""Logits processors: rules on the next id that hold whatever the model says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

#: Log-probability of what a rule forbids. Finite, so that sums of two stay comparable.
FORBIDDEN = -1e9


class LogitsProcessor:
    """A rule; subclass it as a frozen dataclass, so that equal rules share a compilation."""

    def __call__(self, log_probs: Any, tokens: Any, index: Any, plan: Any) -> Any:
        """Apply the rule.

        Args:
            log_probs: float32 `[R, V]`.
            tokens: int32 `[R, steps]`, what each row holds so far; valid before `index`.
            index: number of the step, counted from 0; a scalar.
            plan: the `Plan` of the generation.

        Returns:
            float32 `[R, V]`.
        """
        raise NotImplementedError


def _only(log_probs: Any, token: int, when: Any) -> Any:
    """Forbid everything but `token` where `when` (a scalar bool) holds."""
    ids = ops.arange(log_probs.shape[-1], dtype="int32")
    others = ops.logical_and(ids != token, when)
    forced = ops.where(others[None], ops.cast(FORBIDDEN, log_probs.dtype), log_probs)
    # A forced id costs nothing: it is the rule's choice, not the model's.
    chosen = ops.logical_and(ids == token, when)
    return ops.where(chosen[None], ops.zeros_like(forced), forced)


@dataclass(frozen=True)
class ForcedBos(LogitsProcessor):
    """The first generated id is `token` (mBART's language code, for example)."""

    token: int

    def __call__(self, log_probs: Any, tokens: Any, index: Any, plan: Any) -> Any:
        return _only(log_probs, self.token, ops.equal(index, 0))


@dataclass(frozen=True)
class ForcedEos(LogitsProcessor):
    """The last id that fits is `token`."""

    token: int

    def __call__(self, log_probs: Any, tokens: Any, index: Any, plan: Any) -> Any:
        return _only(log_probs, self.token, ops.equal(index, plan.steps - 1))


@dataclass(frozen=True)
class MinLength(LogitsProcessor):
    """No EOS before the result is `min_length` ids long, the decoder start counted."""

    min_length: int

    def __call__(self, log_probs: Any, tokens: Any, index: Any, plan: Any) -> Any:
        ids = ops.arange(log_probs.shape[-1], dtype="int32")
        too_early = ops.cast(index, "int32") + 1 < self.min_length
        banned = ops.logical_and(ids == plan.eos, too_early)
        return ops.where(banned[None], ops.cast(FORBIDDEN, log_probs.dtype), log_probs)
