"""Logits processors: rules on the next id of a sequence.

Each rule means what the option of its name means in transformers' generation configuration.
Sequences include the decoder start; `scores` are logits for greedy search and sampling,
log-probabilities for beam search.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s2s.samplers.context import Step
from keras_s2s.samplers.host_callback import host_callback
from keras_s2s.typing import Tensor

#: Score of a forbidden id: no finite number is below the scores of every model and rule.
FORBIDDEN = float("-inf")

#: Of multiples of lengths: this far from a whole number they are one.
ROUNDING = 1e-3

#: exp of it is the largest factor of a score.
LARGEST_EXPONENT = 60.0


class LogitsProcessor(ABC):
    """Base class of rules; subclass it as a frozen dataclass, so that equal rules share a
    compilation.

    Example:
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


def forbid(scores: Tensor, banned: Tensor) -> Tensor:
    """Replaces `scores [R, V]` by `FORBIDDEN` where `banned`, a broadcastable bool, is True."""
    return ops.where(banned, ops.cast(FORBIDDEN, scores.dtype), scores)


def nowhere(when: Tensor) -> bool:
    """Returns whether a condition is known to hold for no row, so that a rule has nothing to do.

    Only where Python runs the step on a CPU (PyTorch) can this be known, at no cost; a compiled
    program cannot read values.
    """
    if isinstance(when, bool):
        return not when
    if keras.backend.backend() != "torch" or when.device.type != "cpu":
        return False
    return not bool(when.any())


def is_token(scores: Tensor, tokens: Iterable[int]) -> Tensor:
    """Returns the mask `[1, V]` of a few ids, a constant of the program."""
    return ops.convert_to_tensor(_mask_of(tuple(tokens), scores.shape[-1]))


@lru_cache(maxsize=64)
def _mask_of(tokens: tuple[int, ...], vocabulary: int) -> np.ndarray:
    mask = np.zeros((1, vocabulary), bool)
    mask[0, list(tokens)] = True
    return mask


def occurrences(ids: Tensor, where: Tensor, vocabulary: int) -> Tensor:
    """Counts how often each id occurs in each row: int32 `[R, V]`, from `ids` at `where [R, N]`."""
    shape = ops.shape(ids)
    rows = ops.broadcast_to(ops.arange(shape[0], dtype="int32")[:, None], shape)
    places = ops.reshape(rows * vocabulary + ids, (-1, 1))
    counts = ops.reshape(ops.cast(where, "int32"), (-1,))
    return ops.reshape(ops.scatter(places, counts, (shape[0] * vocabulary,)), (-1, vocabulary))


def occur(ids: Tensor, where: Tensor, vocabulary: int) -> Tensor:
    """Returns which ids occur in each row: bool `[R, V]` from `ids [R, N]` at which `where [R,
    N]`.
    """
    return occurrences(ids, where, vocabulary) > 0


# --------------------------------------------------------------------------------------
# Repetition
# --------------------------------------------------------------------------------------


def _divided(scores: Tensor, penalty: float) -> Tensor:
    """Returns scores that `penalty` makes less likely: divided above 0, multiplied below."""
    return ops.where(scores < 0, scores * penalty, scores / penalty)


@dataclass(frozen=True)
class EncoderRepetitionPenalty(LogitsProcessor):
    """Multiplies scores above 0 of the source's ids by `penalty`, and divides those below; for
    shared vocabularies. Padding of a source does not count.
    """

    reads_source_ids = True

    penalty: float

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        ids, real = _of_sources(step, scores.shape[-1])
        there = occur(ids, real, scores.shape[-1])
        return ops.where(there, _divided(scores, 1 / self.penalty), scores)


@dataclass(frozen=True)
class RepetitionPenalty(LogitsProcessor):
    """Divides scores above 0 of ids that occurred by `penalty`, and multiplies those below [Keskar
    2019]; a penalty below 1 makes these ids likelier.
    """

    penalty: float

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        ids, real = step.history()
        used = occur(ids, ops.broadcast_to(real, ops.shape(ids)), scores.shape[-1])
        return ops.where(used, _divided(scores, self.penalty), scores)


@dataclass(frozen=True)
class NoRepeatNgram(LogitsProcessor):
    """Forbids that a sequence of `size` ids occurs twice [Paulus 2017]."""

    size: int

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        ids, real = step.history()
        real = ops.broadcast_to(real, ops.shape(ids))
        return forbid(scores, _continued(ids, real, step, plan, self.size, scores.shape[-1]))


@dataclass(frozen=True)
class EncoderNoRepeatNgram(LogitsProcessor):
    """Forbids sequences of `size` ids of the source in the target; for shared vocabularies.

    Padding of a source does not count, so that a result does not depend on its batch.
    """

    reads_source_ids = True

    size: int

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        ids, real = _of_sources(step, scores.shape[-1])
        return forbid(scores, _continued(ids, real, step, plan, self.size, scores.shape[-1]))


def _of_sources(step: Step, vocabulary: int) -> tuple[Tensor, Tensor]:
    """Returns the ids of each row's source, int32 `[R, S]`, and which of them count."""
    ids, real = step.of_rows(step.sources.ids), step.of_rows(step.sources.mask)
    # Ids that the target's vocabulary lacks cannot be generated.
    real = ops.logical_and(real, ids < vocabulary)
    return ops.where(real, ids, ops.zeros_like(ids)), real


def _continued(
    ids: Tensor, real: Tensor, step: Step, plan: Any, size: int, vocabulary: int
) -> Tensor:
    """Returns which ids would complete an n-gram of `ids`: bool `[R, V]`.

    Args:
        ids: int32 `[R, N]`, where n-grams are looked for.
        real: bool `[R, N]`.
        size: n.
    """
    if size == 1:
        return occur(ids, real, vocabulary)
    history, _ = step.history()
    last = ops.cast(step.index, "int32")  # place of the newest id in `history`
    count = ops.shape(ids)[1]
    # An n-gram that ends at place p has its first id at p - (n - 1); a roll brings each of its
    # ids to p, and what it wraps around is masked out.
    matches = ops.logical_and(real, (ops.arange(count, dtype="int32") >= size - 1)[None])
    for back in range(1, size):
        wanted = ops.take(history, ops.maximum(last - (back - 1), 0), axis=1)[:, None]
        matches = ops.logical_and(matches, ops.roll(ids, back, axis=1) == wanted)
        matches = ops.logical_and(matches, ops.roll(real, back, axis=1))
    matches = ops.logical_and(matches, last >= size - 2)  # there are n - 1 ids to match
    return occur(ids, matches, vocabulary)


# --------------------------------------------------------------------------------------
# Words that may not occur
# --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BadWords(LogitsProcessor):
    """Forbids words of one or more ids each; EOS alone is not a word."""

    words: tuple[tuple[int, ...], ...]

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        words = [word for word in self.words if word not in {(end,) for end in plan.ends}]
        single = [word[0] for word in words if len(word) == 1]
        if single:
            scores = forbid(scores, is_token(scores, single))
        history, _ = step.history()
        last = ops.cast(step.index, "int32")
        for word in (word for word in words if len(word) > 1):
            begun: Any = last >= len(word) - 2
            for back, token in enumerate(reversed(word[:-1])):
                there = ops.take(history, ops.maximum(last - back, 0), axis=1)
                begun = ops.logical_and(begun, there == token)  # [R]
            scores = forbid(scores, ops.logical_and(begun[:, None], is_token(scores, [word[-1]])))
        return scores


@dataclass(frozen=True)
class Suppress(LogitsProcessor):
    """Forbids ids."""

    tokens: tuple[int, ...]

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        return forbid(scores, is_token(scores, self.tokens))


@dataclass(frozen=True)
class BeginSuppress(LogitsProcessor):
    """Forbids ids as the first that is generated, after a prefix or a forced BOS."""

    tokens: tuple[int, ...]

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        first = ops.equal(step.generated, 0)
        if any(isinstance(rule, ForcedBos) for rule in plan.processors):
            lengths = step.of_rows(step.sources.prefix_lengths)
            first = ops.equal(step.generated, ops.cast(lengths == 0, "int32"))
        if nowhere(first):
            return scores
        return forbid(scores, ops.logical_and(first[:, None], is_token(scores, self.tokens)))


# --------------------------------------------------------------------------------------
# Length, first and last id
# --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MinLength(LogitsProcessor):
    """Forbids EOS before the result is `min_length` ids long, the decoder start counted."""

    min_length: int

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        too_early = ops.cast(step.index, "int32") + 1 < self.min_length
        if nowhere(too_early):
            return scores
        return forbid(scores, ops.logical_and(is_token(scores, plan.ends), too_early))


@dataclass(frozen=True)
class MinNewTokens(LogitsProcessor):
    """Forbids EOS before `count` ids were generated, those of a prefix not counted."""

    count: int

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        too_early = step.generated < self.count
        if nowhere(too_early):
            return scores
        return forbid(scores, ops.logical_and(is_token(scores, plan.ends), too_early[:, None]))


@dataclass(frozen=True)
class MinLengthRatio(LogitsProcessor):
    """Forbids EOS before a result has `ratio` times as many ids as its source, rounded up; those of
    a prefix do not count.
    """

    reads_source_ids = True

    ratio: float

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        lengths = ops.sum(ops.cast(step.sources.mask, "float32"), axis=1)
        # Not a whole id more for what float32 rounds.
        least = ops.ceil(lengths * self.ratio - ROUNDING)
        too_early = step.generated < step.of_rows(ops.cast(least, "int32"))
        if nowhere(too_early):
            return scores
        return forbid(scores, ops.logical_and(is_token(scores, plan.ends), too_early[:, None]))


@dataclass(frozen=True)
class ExponentialDecayLengthPenalty(LogitsProcessor):
    """Raises the score of EOS, after a number of generated ids, by a growing share of its size.

    Args:
        penalty: `(start, factor)`: when `n` ids more than `start` were generated, the score `s` of
            EOS becomes `s + |s| (factor**n - 1)`. Ids of a prefix do not count.
    """

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
        ends = ops.logical_and(is_token(scores, plan.ends), scores > FORBIDDEN)
        return ops.where(ends, raised, scores)


def _only(scores: Tensor, token: int, when: Tensor) -> Tensor:
    """Forbids all ids but `token` where `when` holds: a bool, a scalar or `[R, 1]`."""
    if nowhere(when):
        return scores
    chosen = is_token(scores, [token])
    forced = forbid(scores, ops.logical_and(ops.logical_not(chosen), when))
    # A forced id scores 0: it is chosen by the rule, not by the model.
    return ops.where(ops.logical_and(chosen, when), ops.zeros_like(forced), forced)


@dataclass(frozen=True)
class ForcedBos(LogitsProcessor):
    """Forces the first generated id to be `token`, e.g. a language code."""

    token: int

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        return _only(scores, self.token, ops.equal(step.index, 0))


@dataclass(frozen=True)
class ForcedEos(LogitsProcessor):
    """Forces the last id that fits to be `token`."""

    token: int

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        last = step.of_rows(ops.equal(step.sources.limits, step.index + 1))
        return _only(scores, self.token, last[:, None])


# --------------------------------------------------------------------------------------
# A constraint of the caller
# --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AllowedTokens(LogitsProcessor):
    """Allows only ids that a Python function returns [De Cao 2021].

    The function runs on the host at every step, on every backend. A rule that can be written
    with `keras.ops` is faster as a `LogitsProcessor` of your own, and can be exported.

    Args:
        function: called with the place of a source among the caller's and its sequence so far
            (a 1-D int32 array, the decoder start in front); returns the ids allowed next, at
            least one. It is not called for sequences that have ended, nor within a given prefix.
    """

    on_host = True

    function: Callable[[int, np.ndarray], Iterable[int]]

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        vocabulary = scores.shape[-1]

        def forbidden(history: Tensor, rows: Tensor, asked: Any, index: Tensor) -> np.ndarray:
            banned = np.zeros((len(history), vocabulary), bool)
            for i in np.flatnonzero(asked):
                ids = history[i, : int(index) + 1]
                banned[i] = True
                banned[i, self._allowed(int(rows[i]), ids, vocabulary)] = False
            return banned

        history, _ = step.history()
        index, sources = ops.cast(step.index, "int32"), step.sources
        rows, asked = map(step.of_rows, (sources.places, index >= sources.prefix_lengths))
        if step.alive is not None:
            asked = ops.logical_and(asked, step.alive)
        arguments = (history, rows, asked, index)
        return forbid(scores, host_callback(forbidden, arguments, like=scores))

    def _allowed(self, row: int, ids: np.ndarray, vocabulary: int) -> np.ndarray:
        allowed = np.asarray(list(self.function(row, ids)), int)
        if not len(allowed):
            raise ValueError(
                f"the function of allowed ids allows none for source {row} after {ids.tolist()}; "
                "it must return at least one, EOS where the sequence may only end"
            )
        if allowed.min() < 0 or allowed.max() >= vocabulary:
            raise ValueError(
                f"the function of allowed ids returned {allowed.tolist()} for source {row}; ids "
                f"of this vocabulary go from 0 to {vocabulary - 1}"
            )
        return allowed


# --------------------------------------------------------------------------------------
# Normalisation
# --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Renormalize(LogitsProcessor):
    """Normalises the scores again after the other rules.

    Without it, the scores of hypotheses in a beam search are too low by the probability that rules
    have removed.
    """

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        normalised = scores - ops.logsumexp(scores, axis=-1, keepdims=True)
        # Where everything is forbidden, it stays forbidden.
        return ops.where(scores > FORBIDDEN, normalised, scores)
