"""Base class of rules on the next id, and the score of an id that a rule forbids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from keras_s2s.samplers.context import Step
from keras_s2s.typing import Tensor

#: Score of a forbidden id: no finite number is below the scores of every model and rule.
FORBIDDEN = float("-inf")


class LogitsProcessor(ABC):
    """Base class of rules; subclass it as a frozen dataclass, so that equal rules share a
    compilation.

    Example:
        >>> from dataclasses import dataclass
        >>> from keras import ops
        >>> @dataclass(frozen=True)
        ... class Favour(LogitsProcessor):
        ...     token: int
        ...     bonus: float
        ...     def __call__(self, scores, step, plan):
        ...         chosen = ops.arange(scores.shape[-1]) == self.token
        ...         return scores + self.bonus * ops.cast(chosen, scores.dtype)
        >>> model.generate("ein Hund", processors=[Favour(17, 2.0)])
    """

    #: whether the rule reads `step.sources.ids`, which not every source has.
    reads_source_ids = False

    #: whether the rule calls Python at each step, which an exported graph cannot.
    on_host = False

    #: whether the rule takes scores `[R, U]` of some ids alone, those of `step.sources.candidates`.
    #: It can then forbid or favour these ids only. Without it the rule is given scores of all ids,
    #: which takes longer. A class says so for itself: its subclasses do not inherit it.
    takes_candidates = False

    def most_forbidden(self, plan: Any) -> int | None:
        """Returns how many ids the rule forbids at most in a row, where it does nothing else; None
        where it changes scores otherwise, or forbids any number.

        Used where the same class sets `takes_candidates`: beam search then applies the rule to the
        best ids alone. A number that is too small makes results wrong.
        """
        return None

    @abstractmethod
    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        """Applies the rule to scores.

        Args:
            scores: float32 `[R, V]`.
            step: the state of the generation: histories, number of the step, sources.
            plan: the `Plan` of the generation: special ids and rules.

        Returns:
            float32 `[R, V]`.
        """
