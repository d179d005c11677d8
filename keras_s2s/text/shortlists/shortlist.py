"""A lexical shortlist: for each source id, the target ids that it may be translated with."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np

#: Marian's candidates of a batch are a multiple of this, since its products of integers need it.
MULTIPLE = 8


def check_numbers(**numbers: tuple[Any, int]) -> None:
    """Raises an error for arguments that are no whole numbers, or are too small.

    Args:
        numbers: by the names of the arguments, each with the least that it may be.
    """
    for name, (value, least) in numbers.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise ValueError(
                f"{name}={value!r} must be a whole number of at least {least} for a shortlist"
            )


@dataclass(frozen=True, eq=False)
class Shortlist:
    """The candidates of target ids for a source, by the ids in it.

    Attributes:
        offsets: int64 `[S + 1]`; the candidates of source id i are `targets[offsets[i]:offsets[i +
            1]]`. Ids beyond have none of their own.
        targets: int32 `[N]`.
        always: int32 `[A]`, candidates of every source.
        phrases: candidates of sequences of source ids.
        target_size: ids of the target's vocabulary.
        shared: both sides have one vocabulary, so that the ids of a source are candidates, too.
        multiple: the number of candidates is a multiple of this where the vocabulary has so many:
            the first ids that are none yet are added, from `first` on.
        first: ids below it are in `always`.

    Example:
        >>> table = Shortlist(np.array([0, 0, 2]), np.array([7, 4]), np.array([0]), target_size=9)
        >>> table.candidates([1, 1, 5])
        array([0, 4, 7], dtype=int32)
    """

    offsets: np.ndarray
    targets: np.ndarray
    always: np.ndarray
    phrases: Mapping[tuple[int, ...], np.ndarray] = field(default_factory=dict)
    target_size: int = 0
    shared: bool = False
    multiple: int = 1
    first: int = 0

    def __post_init__(self) -> None:
        """Checks that each source id has a part of `targets`, and that all of them are ids.

        Raises:
            ValueError: it is not so.
        """
        borders = np.asarray(self.offsets)
        ascending = len(borders) and borders[0] == 0 and borders[-1] == len(self.targets)
        if not ascending or (np.diff(borders) < 0).any():
            raise ValueError(
                f"offsets of a shortlist must ascend from 0 to its {len(self.targets)} targets, "
                f"got {borders[:8].tolist()}..."
            )
        for name in ("targets", "always"):
            ids = np.asarray(getattr(self, name))
            if len(ids) and not 0 <= ids.min() <= ids.max() < self.target_size:
                raise ValueError(
                    f"{name} of a shortlist has ids from {ids.min()} to {ids.max()}; expected "
                    f"those of a vocabulary of target_size={self.target_size}"
                )

    def __repr__(self) -> str:
        """Returns its sizes in a line."""
        return (
            f"<Shortlist, {len(self.targets):,} candidates of {len(self.offsets) - 1:,} source "
            f"ids, {len(self.always):,} of every source>"
        )

    def of(self, source_id: int) -> np.ndarray:
        """Returns the candidates of one source id, int32; without those of every source."""
        if not 0 <= source_id < len(self.offsets) - 1:
            return self.targets[:0]
        return self.targets[self.offsets[source_id] : self.offsets[source_id + 1]]

    def candidates(self, source: Sequence[int], more: Iterable[int] = ()) -> np.ndarray:
        """Returns the candidates for a source.

        Args:
            source: its ids, special ids included.
            more: ids that are candidates, too.

        Returns:
            int32, each id once, in ascending order.
        """
        more = np.asarray(list(more), "int64")
        # A model may have more ids than its tokenizer.
        chosen = np.zeros(max(self.target_size, more.max(initial=-1) + 1), bool)
        chosen[self.always] = True
        ids = [int(i) for i in dict.fromkeys(source)]
        for i in ids:
            chosen[self.of(i)] = True
            if self.shared and i < self.target_size:
                chosen[i] = True
        for length in self._phrase_lengths:
            for begin in range(len(source) - length + 1):
                found = self.phrases.get(tuple(int(i) for i in source[begin : begin + length]))
                if found is not None:
                    chosen[found] = True
        lacking = -int(chosen.sum()) % self.multiple
        if lacking:
            rest = self.first + np.flatnonzero(~chosen[self.first : self.target_size])
            chosen[rest[:lacking]] = True
        chosen[more] = True
        return np.flatnonzero(chosen).astype("int32")

    @functools.cached_property
    def _phrase_lengths(self) -> list[int]:
        return sorted({len(phrase) for phrase in self.phrases})

    def renumbered(self, source: Mapping[int, int], target: Mapping[int, int]) -> Shortlist:
        """Returns the shortlist of a model with a part of the ids.

        Candidates that do not stay are left out. Which ids make up a `multiple` may change.

        Args:
            source: new id of each source id that stays.
            target: the same of the target's, in the order of the old ones.

        Example:
            >>> offsets, targets = np.array([0, 0, 2]), np.array([7, 4])
            >>> table = Shortlist(offsets, targets, np.array([0]), target_size=9)
            >>> table.renumbered({1: 0}, {0: 0, 7: 1}).candidates([0])
            array([0, 1], dtype=int32)
        """
        table = np.full(self.target_size, -1, "int32")
        for old, new in target.items():
            if old < self.target_size:
                table[old] = new

        def moved(ids: np.ndarray) -> np.ndarray:
            new = table[ids]
            return new[new >= 0]

        lists = {new: moved(self.of(old)) for old, new in source.items() if len(self.of(old))}
        # An id of both sides may have become two.
        shared = self.shared and dict(source) == dict(target)
        if self.shared and not shared:
            for old, new in source.items():
                own = moved(np.array([old] if old < self.target_size else [], "int32"))
                lists[new] = np.concatenate([lists.get(new, own), own])
        phrases = {
            tuple(source[i] for i in phrase): moved(found)
            for phrase, found in self.phrases.items()
            if all(i in source for i in phrase)
        }
        return from_lists(
            lists,
            moved(self.always),
            phrases=phrases,
            target_size=int((table >= 0).sum()),
            shared=shared,
            multiple=self.multiple,
            first=int((table[: self.first] >= 0).sum()),
        )


def from_lists(
    lists: Mapping[int, Iterable[int]],
    always: Iterable[int],
    *,
    phrases: Mapping[tuple[int, ...], np.ndarray] | None = None,
    target_size: int,
    shared: bool = False,
    multiple: int = 1,
    first: int = 0,
) -> Shortlist:
    """Makes a shortlist from the candidates of each source id; ids without any may be left out."""
    size = max(lists, default=-1) + 1
    rows = [np.unique(np.asarray(list(lists.get(i, ())), "int32")) for i in range(size)]
    return Shortlist(
        np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype("int64"),
        np.concatenate([np.zeros(0, "int32"), *rows]).astype("int32"),
        np.unique(np.asarray(list(always), "int32")).astype("int32"),
        phrases or {},
        target_size,
        shared,
        multiple,
        first,
    )
