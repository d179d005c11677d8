"""The data besides scores that strategies and rules may use."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

from keras import ops

from keras_s2s.samplers.gather import gather
from keras_s2s.typing import Tensor


class Sources(NamedTuple):
    """Data about each source while its sequences are generated.

    Attributes:
        ids: int32 `[B, S]`, the encoder's ids; `[B, 0]` where sources are no ids.
        mask: bool `[B, S]`, True at real ids.
        places: int32 `[B]`, their numbers among the sources of the call, from 0.
        seeds: int32 `[B]`, for samplers that draw.
        prefix: int32 `[B, P]`, ids that its sequences begin with; meaningless where the plan
            is not prefixed.
        prefix_lengths: int32 `[B]`, how many of them are real.
        limits: int32 `[B]`, most ids of its sequences, those of the prefix counted.
        starts: int32 `[B]`, the decoder start of its sequences.
        phrases: what its results must have; () where the strategy does not read it.
        allowed: bool `[B, V]`, the ids that its results may have; () where the plan has no
            shortlist.
        positions: bool `[B, S']`, which positions of the encoder's memory are real; () where the
            strategy does not read attention.
        candidates: int32 `[U]` or `[R, U]`, the ids that scores `[R, U]` of a step belong to, where
            they are of some ids only: those of a shortlist (see `Sampler.takes_candidates`), or the
            best of each row where rules are applied to these alone; () where they are of all.
    """

    ids: Tensor
    mask: Tensor
    places: Tensor
    seeds: Tensor
    prefix: Tensor
    prefix_lengths: Tensor
    limits: Tensor
    starts: Tensor
    phrases: Any = ()
    allowed: Any = ()
    positions: Any = ()
    candidates: Any = ()

    @property
    def rows(self) -> Tensor:
        """The earlier name of `places`, for one release."""
        warnings.warn("Sources.rows is now Sources.places", FutureWarning, stacklevel=2)
        return self.places

    def ids_at(self, columns: Tensor) -> Tensor:
        """Returns the ids whose scores stand in `columns` of each row: int32 `[R, N]`."""
        if isinstance(self.candidates, tuple):
            return columns
        if len(self.candidates.shape) == 1:
            return ops.take(self.candidates, columns, axis=0)
        return gather(self.candidates, columns)

    def at_limit(self, index: Tensor) -> Tensor:
        """Returns whether the id of step `index` is the last that fits, or is beyond: bool
        `[B]`.
        """
        return self.limits <= index + 1


def all_take_candidates(parts: Iterable[object]) -> bool:
    """Returns whether strategies and rules all take scores of some ids alone.

    Each class has to say so itself: what a parent says does not count, because a subclass may take
    column i of the scores for id i.
    """
    return all(vars(type(part)).get("takes_candidates", False) for part in parts)


class Step(NamedTuple):
    """The state of a generation when its next ids are chosen.

    Attributes:
        tokens: int32 `[R, C]`, the ids of each row so far; real before `index`.
        index: number of the step, counted from 0: a scalar; or that of each row, int32 `[R]`, where
            a strategy drafts ids (see `Sampler.drafts`).
        sources: what is known of each source, `[B, ...]`.
        width: K, the rows of each source; R = B*K, the rows of a source side by side.
        alive: bool `[R]`, False where the chosen id is not used: the sequence has ended, its
            source is done, or the row has no sequence (rules may leave fewer sequences than
            beams). None where that is not known.
    """

    tokens: Tensor
    index: Tensor
    sources: Sources
    width: int
    alive: Tensor | None = None

    def of_rows(self, values: Tensor) -> Tensor:
        """Repeats `values [B, ...]` of the sources for each of their rows: `[R, ...]`."""
        return values if self.width == 1 else ops.repeat(values, self.width, axis=0)

    @property
    def generated(self) -> Tensor:
        """Ids of each row that were not given in its prefix, int32 `[R]`."""
        return ops.cast(self.index, "int32") - self.of_rows(self.sources.prefix_lengths)

    def history(self, decoder_start: int | None = None) -> tuple[Tensor, Tensor]:
        """Returns the ids of each row, with the decoder start, and which of them are real.

        Args:
            decoder_start: not used any more, for one release: each source has its own.

        Returns:
            int32 `[R, 1 + C]` and bool `[1, 1 + C]`, or `[R, 1 + C]` where each row has its index.
        """
        if decoder_start is not None:
            warnings.warn("call Step.history() without arguments", FutureWarning, stacklevel=2)
        start = self.of_rows(self.sources.starts)[:, None]
        ids = ops.concatenate([start, self.tokens], axis=1)
        places = ops.arange(ops.shape(ids)[1], dtype="int32")
        return ids, places <= ops.reshape(ops.cast(self.index, "int32"), (-1, 1))
