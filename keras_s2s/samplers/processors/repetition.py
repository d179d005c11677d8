"""Rules against repetition: of ids and n-grams, in a sequence or of its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_s2s.samplers.context import Step
from keras_s2s.samplers.gather import entry
from keras_s2s.samplers.processors.base import LogitsProcessor
from keras_s2s.samplers.processors.operations import forbid, occur
from keras_s2s.typing import Tensor


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
        wanted = entry(history, ops.maximum(last - (back - 1), 0))[:, None]
        matches = ops.logical_and(matches, ops.roll(ids, back, axis=1) == wanted)
        matches = ops.logical_and(matches, ops.roll(real, back, axis=1))
    enough = ops.reshape(last >= size - 2, (-1, 1))  # there are n - 1 ids to match
    matches = ops.logical_and(matches, enough)
    return occur(ids, matches, vocabulary)
