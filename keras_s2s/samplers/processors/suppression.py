"""Rules that forbid given ids or words, everywhere or at the beginning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_s2s.samplers.context import Step
from keras_s2s.samplers.gather import entry
from keras_s2s.samplers.processors.base import LogitsProcessor
from keras_s2s.samplers.processors.forced_ids import ForcedBos
from keras_s2s.samplers.processors.operations import forbid_ids, nowhere
from keras_s2s.typing import Tensor


@dataclass(frozen=True)
class BadWords(LogitsProcessor):
    """Forbids words of one or more ids each; EOS alone is not a word."""

    takes_candidates = True

    words: tuple[tuple[int, ...], ...]

    def most_forbidden(self, plan: Any) -> int:
        return len(self.words)

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        words = [word for word in self.words if word not in {(end,) for end in plan.ends}]
        single = [word[0] for word in words if len(word) == 1]
        if single:
            scores = forbid_ids(scores, single, step.sources)
        history, _ = step.history()
        last = ops.cast(step.index, "int32")
        for word in (word for word in words if len(word) > 1):
            begun: Any = last >= len(word) - 2
            for back, token in enumerate(reversed(word[:-1])):
                there = entry(history, ops.maximum(last - back, 0))
                begun = ops.logical_and(begun, there == token)  # [R]
            scores = forbid_ids(scores, [word[-1]], step.sources, begun[:, None])
        return scores


@dataclass(frozen=True)
class Suppress(LogitsProcessor):
    """Forbids ids."""

    takes_candidates = True

    tokens: tuple[int, ...]

    def most_forbidden(self, plan: Any) -> int:
        return len(self.tokens)

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        return forbid_ids(scores, self.tokens, step.sources)


@dataclass(frozen=True)
class BeginSuppress(LogitsProcessor):
    """Forbids ids as the first that is generated, after a prefix or a forced BOS."""

    takes_candidates = True

    tokens: tuple[int, ...]

    def most_forbidden(self, plan: Any) -> int:
        return len(self.tokens)

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        first = ops.equal(step.generated, 0)
        if any(isinstance(rule, ForcedBos) for rule in plan.processors):
            lengths = step.of_rows(step.sources.prefix_lengths)
            first = ops.equal(step.generated, ops.cast(lengths == 0, "int32"))
        if nowhere(first):
            return scores
        return forbid_ids(scores, self.tokens, step.sources, first[:, None])
