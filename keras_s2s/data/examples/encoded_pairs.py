"""Pairs as ids, and the report of what became of the pairs that were given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from keras_s2s.data.examples.ragged import RaggedArrays, RaggedIds
from keras_s2s.layers.contracts import SourceInput
from keras_s2s.layers.frontends import TOKEN_IDS
from keras_s2s.text.truncation import Side


@dataclass
class BatchReport:
    """Counts of the pairs, or of an objective's texts, that were used, dropped and cut.

    Attributes:
        what: `"pairs"` or `"texts"`.
        read: pairs given.
        empty: dropped, because a side had no text or no ids, or a text too few ids for the
            objective.
        reserved: dropped, because the text holds a token that the objective inserts.
        overlong_source: pairs whose source is longer than max_source_length.
        overlong_target: pairs whose target is longer than max_target_length.
        overlong_dropped: pairs dropped for either reason.
        truncated: pairs cut for either reason, and kept.
    """

    what: str = "pairs"
    read: int = 0
    empty: int = 0
    reserved: int = 0
    overlong_source: int = 0
    overlong_target: int = 0
    overlong_dropped: int = 0
    truncated: int = 0

    @property
    def kept(self) -> int:
        """Pairs that are in the batches."""
        return self.read - self.empty - self.reserved - self.overlong_dropped

    def __str__(self) -> str:
        parts = [f"{self.read} {self.what} given, {self.kept} used"]
        if self.empty:
            reason = "with an empty side" if self.what == "pairs" else "as empty or too short"
            parts.append(f"{self.empty} dropped {reason}")
        if self.reserved:
            parts.append(f"{self.reserved} dropped with a sentinel or mask token in them")
        for count, what in ((self.overlong_dropped, "dropped"), (self.truncated, "truncated")):
            if count:
                parts.append(
                    f"{count} {what} as too long (source: {self.overlong_source}, "
                    f"target: {self.overlong_target})"
                )
        return "; ".join(parts)


@dataclass
class EncodedPairs:
    """Source and target ids, row by row, and how they came to be.

    Sources may be feature vectors in place of ids.
    """

    sources: RaggedIds | RaggedArrays = field(default_factory=RaggedIds)
    targets: RaggedIds = field(default_factory=RaggedIds)
    report: BatchReport = field(default_factory=BatchReport)
    #: Which of the pairs that were given each row is, counted from 0.
    numbers: list[int] = field(default_factory=list)
    #: Rows and sides that were truncated.
    cut: set[tuple[int, Side]] = field(default_factory=set)

    @property
    def source_input(self) -> SourceInput:
        """The model input that the sources are for."""
        return self.sources.source if isinstance(self.sources, RaggedArrays) else TOKEN_IDS

    @property
    def source_lengths(self) -> np.ndarray:
        """Ids, or feature vectors, of each source, int64 `[N]`."""
        return self.sources.lengths

    @property
    def target_lengths(self) -> np.ndarray:
        """Ids of each target, int64 `[N]`."""
        return self.targets.lengths

    @property
    def largest_ids(self) -> tuple[int, int]:
        """The largest source and target id."""
        return self.sources.largest, self.targets.largest

    def pair(self, row: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the source (ids int32 `[S]`, or feature vectors) and target ids, int32 `[T]`, of
        a pair.

        They are the same in every epoch.
        """
        return self.sources[row], self.targets[row]

    def with_rows_of(self, other: EncodedPairs, rows: Sequence[int]) -> EncodedPairs:
        """Returns these pairs with some of another encoding of the same texts."""
        theirs = set(rows)

        def mixed(mine: Any, others: Any) -> Any:
            if mine is others:
                return mine
            both = RaggedIds()
            for row in range(len(mine)):
                both.append((others if row in theirs else mine)[row].tolist())
            return both

        return replace(
            self,
            sources=mixed(self.sources, other.sources),
            targets=mixed(self.targets, other.targets),
        )
