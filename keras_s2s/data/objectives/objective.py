"""Pre-training objectives: one text becomes a source and a target.

An objective is a rule with settings, a plain function of ids and a NumPy PRNG. `Batches`
draws anew with it in every epoch. Letters: L ids of a text, S of its source, T of its target;
none of them has BOS or EOS yet.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from keras_s2s.data.checks.flat_ids import flat_ids

if TYPE_CHECKING:
    from keras_s2s.text.tokenizer import Tokenizer


class Objective(abc.ABC):
    """Base class of pre-training objectives: makes a source and a target from one text.

    A subclass implements `__call__`, `longest` and, where it needs special ids, `bind`.

    Attributes:
        shortest: texts of fewer ids cannot be used.
        keeps_tokens: the source has the tokens of the text, so another objective may follow.
        restores_text: the target is the text itself.
    """

    shortest: ClassVar[int] = 1
    keeps_tokens: ClassVar[bool] = False
    restores_text: ClassVar[bool] = True

    def __repr__(self) -> str:
        """Returns the objective with its settings."""
        settings = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({settings})"

    @abc.abstractmethod
    def __call__(self, ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Makes a source int32 `[S]` and a target int32 `[T]` from the `ids` int32 `[L]` of a
        text.
        """

    @abc.abstractmethod
    def longest(self, length: int) -> tuple[int, int]:
        """Returns the lengths of the longest source and target that a text of `length` ids
        gives.
        """

    def bind(self, tokenizer: Tokenizer | None) -> Self:
        """Returns the objective with the ids it needs: its own, or else the tokenizer's.

        Raises:
            ValueError: it was given none, and there is no tokenizer, or one without them.
        """
        return self

    @property
    def reserved(self) -> frozenset[int]:
        """Ids that the objective inserts, which a text must not have."""
        return frozenset()

    def short_of(self, length: int) -> int:
        """Returns how many special ids, beyond those there are, a text of `length` ids would
        need.
        """
        return 0


class Chain(Objective):
    """Objectives applied in turn; the target is the first text, or that of the last objective.

    Raises:
        ValueError: one that is not the last does not keep the tokens of its text.
    """

    def __init__(self, objectives: Iterable[Objective]) -> None:
        self.objectives = tuple(objectives)
        for objective in self.objectives[:-1]:
            if not objective.keeps_tokens:
                raise ValueError(
                    f"{type(objective).__name__} must be the last objective: what it hides cannot "
                    "be told from what another one hides. SentencePermutation goes before"
                )

    @property
    def shortest(self) -> int:  # type: ignore[override]
        """The least number of ids of a text."""
        return max(objective.shortest for objective in self.objectives)

    def __call__(self, ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        source = target = ids
        for objective in self.objectives:
            source, own = objective(source, rng)
            if not objective.restores_text:
                target = own
        return source, target

    def longest(self, length: int) -> tuple[int, int]:
        return self.objectives[-1].longest(length)

    def bind(self, tokenizer: Tokenizer | None) -> Chain:
        return Chain(objective.bind(tokenizer) for objective in self.objectives)

    @property
    def reserved(self) -> frozenset[int]:
        return frozenset().union(*(objective.reserved for objective in self.objectives))

    def short_of(self, length: int) -> int:
        return max(objective.short_of(length) for objective in self.objectives)


def as_objective(given: Objective | Sequence[Objective]) -> Objective:
    """Returns one objective that applies one or several in turn.

    Raises:
        TypeError: something else was given.
        ValueError: none was given, or they do not go together.

    Example:
        >>> objective = as_objective([SentencePermutation(), TextInfilling()])
    """
    if isinstance(given, Objective):
        return given
    if not isinstance(given, list | tuple):
        given = [given]  # type: ignore[list-item]
    for objective in given:
        if not isinstance(objective, Objective):
            raise TypeError(
                f"objective is {objective!r}, expected SpanCorruption(), TextInfilling(), "
                "SentencePermutation() or a list of them"
            )
    if not given:
        raise ValueError("objective is an empty list; leave it out, or name an objective")
    return Chain(given)


def checked_number(name: str, value: float, above: float, below: float) -> float:
    """Returns a number after checking that it lies between `above` and `below`, both included.

    Raises:
        ValueError: it lies outside, or is no number.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not above <= value <= below:
        wanted = f"from {above:g} to {below:g}" if below < np.inf else f"of {above:g} or more"
        raise ValueError(f"{name} is {value!r}; expected a number {wanted}")
    return float(value)


def distinct_ids(name: str, ids: Iterable[int]) -> np.ndarray:
    """Returns ids as int32 `[N]`, after checking that they are distinct.

    Raises:
        ValueError: something else than a list of ids, no id, or one that is repeated.
    """
    array = flat_ids(name, list(ids))
    if not array.size:
        raise ValueError(f"{name} is empty; expected one id at least")
    if len(np.unique(array)) < len(array):
        raise ValueError(f"{name} has an id twice: {array.tolist()}")
    return array.astype("int32")
