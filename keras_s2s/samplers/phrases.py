"""Phrases that results must have: as arrays, and how far a sequence has come with them.

A constraint is a set of phrases of which one must occur; a phrase is a sequence of ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from keras import ops

from keras_s2s.samplers.gather import gather
from keras_s2s.typing import Tensor

#: Of a source: its constraints, each with its phrases, each with its ids.
Constraints = Sequence[Sequence[Sequence[int]]]


class Phrases(NamedTuple):
    """The phrases of each source, as arrays; P phrases of L ids at most.

    Attributes:
        phrase_ids: int32 `[B, P, L]`.
        phrase_lengths: int32 `[B, P]`, 0 where there is no phrase.
        phrase_constraints: int32 `[B, P]`, the number of each phrase's constraint. A constraint's
            phrases lie side by side, the shortest first.
        phrase_borders: bool `[B, P, L + 1, L]`: `[n, m]` says whether the first `m` ids of a phrase
            are the last `m` of its first `n`: what is left when the next id does not continue it.
    """

    phrase_ids: Tensor
    phrase_lengths: Tensor
    phrase_constraints: Tensor
    phrase_borders: Tensor

    @property
    def real(self) -> Tensor:
        """Which are phrases: bool `[B, P]`."""
        return self.phrase_lengths > 0

    @property
    def shortest(self) -> Tensor:
        """The length of the shortest phrase of each phrase's constraint: int32 `[B, P]`."""
        lengths = ops.where(self.same, self.phrase_lengths[:, None], np.int32(2**30))
        return ops.where(self.real, ops.min(lengths, axis=-1), ops.zeros_like(self.phrase_lengths))

    @property
    def same(self) -> Tensor:
        """Whether two phrases belong to one constraint: bool `[B, P, P]`."""
        numbers = self.phrase_constraints
        return ops.logical_and(numbers[:, :, None] == numbers[:, None], self.real[:, None])

    @property
    def first(self) -> Tensor:
        """The first phrase of each constraint: bool `[B, P]`."""
        numbers = self.phrase_constraints
        before = ops.concatenate([ops.full_like(numbers[:, :1], -1), numbers[:, :-1]], axis=1)
        return ops.logical_and(numbers != before, self.real)


class Progress(NamedTuple):
    """How far sequences have come; N sequences of each source.

    Attributes:
        matched: int32 `[B, N, P]`, ids of each phrase with which a sequence ends.
        occurred: bool `[B, N, P]`, the phrase has occurred.
    """

    matched: Tensor
    occurred: Tensor

    def of(self, places: Tensor) -> Progress:
        """Returns those at `places`, int32 `[B, M]`."""
        return Progress(gather(self.matched, places), gather(self.occurred, places))

    def after(self, tokens: Tensor, phrases: Phrases) -> Progress:
        """Returns them after one more id each, `tokens` int32 `[B, N]`."""
        length = ops.shape(phrases.phrase_ids)[-1]
        places = ops.arange(length + 1, dtype="int32")
        now = ops.cast(self.matched[..., None] == places, "float32")  # [B, N, P, L + 1]
        borders = ops.cast(phrases.phrase_borders, "float32")
        left = ops.einsum("bnpl,bplm->bnpm", now, borders) > 0.5
        goes_on = phrases.phrase_ids[:, None] == tokens[:, :, None, None]
        possible = ops.logical_and(left, goes_on)
        longer = ops.where(possible, places[1:], ops.zeros_like(places[1:]))
        matched = ops.max(longer, axis=-1)
        complete = ops.logical_and(
            matched == phrases.phrase_lengths[:, None], phrases.real[:, None]
        )
        return Progress(matched, ops.logical_or(self.occurred, complete))

    def unmet(self, phrases: Phrases) -> Tensor:
        """Returns the phrases of constraints that are not met: bool `[B, N, P]`."""
        found = ops.logical_and(self.occurred[:, :, None], phrases.same[:, None])
        return ops.logical_and(ops.logical_not(ops.any(found, axis=-1)), phrases.real[:, None])

    def needed(self, phrases: Phrases) -> Tensor:
        """Returns how many more ids meet all constraints for sure: int32 `[B, N]`.

        The shortest phrase of each is counted whole, except for one that has begun: with one id
        less each time, all of them can be met.
        """
        unmet = self.unmet(phrases)
        shortest = phrases.shortest[:, None]
        none = ops.zeros_like(self.matched)
        whole = ops.where(ops.logical_and(unmet, phrases.first[:, None]), shortest, none)
        begun = shortest - phrases.phrase_lengths[:, None] + self.matched
        begun = ops.max(ops.where(unmet, begun, none), axis=-1)
        return ops.sum(whole, axis=-1) - ops.maximum(begun, 0)

    def next_tokens(self, phrases: Phrases) -> tuple[Tensor, Tensor]:
        """Returns the id that continues each phrase, int32 `[B, N, P]`, and for which phrases it is
        wanted: bool.
        """
        length = ops.shape(phrases.phrase_ids)[-1]
        place = ops.minimum(self.matched, length - 1)
        here = place[..., None] == ops.arange(length, dtype="int32")
        ids = ops.where(here, phrases.phrase_ids[:, None], np.int32(0))
        return ops.sum(ids, axis=-1), self.unmet(phrases)


def phrase_arrays(sources: Sequence[Constraints]) -> dict[str, np.ndarray]:
    """Returns the fields of `Phrases` as arrays, by their names; with room for one phrase at least.

    Args:
        sources: the constraints of each source, which may be none.
    """
    ordered = [[sorted(phrases, key=len) for phrases in source] for source in sources]
    count = _rounded(max([1, *[sum(map(len, source)) for source in ordered]]))
    lengths_of = [len(p) for source in ordered for phrases in source for p in phrases]
    length = _rounded(max([1, *lengths_of]))
    ids = np.zeros((len(sources), count, length), np.int32)
    lengths = np.zeros((len(sources), count), np.int32)
    numbers = np.full((len(sources), count), -1, np.int32)
    borders = np.zeros((len(sources), count, length + 1, length), bool)
    for b, source in enumerate(ordered):
        flat = [(number, phrase) for number, each in enumerate(source) for phrase in each]
        for p, (number, phrase) in enumerate(flat):
            ids[b, p, : len(phrase)] = phrase
            lengths[b, p], numbers[b, p] = len(phrase), number
            for n in range(len(phrase) + 1):
                for m in range(min(n + 1, len(phrase))):
                    borders[b, p, n, m] = list(phrase[:m]) == list(phrase[n - m : n])
    return dict(zip(Phrases._fields, (ids, lengths, numbers, borders), strict=True))


def _rounded(size: int) -> int:
    """Returns the next power of two: JAX compiles a program for each size."""
    return 1 << (size - 1).bit_length()


def least_length(constraints: Constraints) -> int:
    """Returns how many ids have room for all constraints of a source, one after the other."""
    return sum(min(map(len, phrases)) for phrases in constraints)
