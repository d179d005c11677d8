"""The plan of a generation: what is fixed before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from keras import ops

from keras_s2s.samplers.processors import LogitsProcessor
from keras_s2s.samplers.stop_strings import StopStrings
from keras_s2s.typing import Tensor


@dataclass(frozen=True)
class Plan:
    """The settings of a generation, fixed before it starts; compiled programs are kept for each.

    Attributes:
        decoder_start, eos, pad: the target's special ids; `eos` is the first of `ends`.
        steps: most ids to generate; `max_length - 1`, since `max_length` counts the start. Plans
            that differ in it alone are equal and share programs, which read `Sources.limits`.
        processors: applied to each step's scores, in order.
        prefixed: some source has a prefix (`Sources.prefix`).
        ends: all ids that end a sequence; EOS alone where none are given.
        shortlisted: each source has ids that its results may have (`Sources.allowed`).
        stops: strings that end one, too; None for none.
        max_length_ratio: most ids of a sequence after its prefix, as a multiple of the positions of
            its source; None for no such limit.
    """

    decoder_start: int
    eos: int
    pad: int
    steps: int = field(compare=False)
    processors: tuple[LogitsProcessor, ...] = ()
    prefixed: bool = False
    ends: tuple[int, ...] = ()
    shortlisted: bool = False
    stops: StopStrings | None = None
    max_length_ratio: float | None = None

    def __post_init__(self) -> None:
        if not self.ends:
            object.__setattr__(self, "ends", (self.eos,))

    def ended(
        self, tokens: Tensor, histories: Tensor, index: Tensor, parents: Tensor | None = None
    ) -> Tensor:
        """Returns which sequences end with their newest id.

        Args:
            tokens: int32 `[B, N]`, the ids of step `index`.
            histories: int32 `[B, K, C]`, the ids before them.
            index: number of the step.
            parents: int32 `[B, N]`, the history that each continues; None: its own.

        Returns:
            bool `[B, N]`.
        """
        found = tokens == self.ends[0]
        for end in self.ends[1:]:
            found = ops.logical_or(found, tokens == end)
        if self.stops is not None:
            completed = self.stops.completed(tokens, histories, index, parents)
            found = ops.logical_or(found, completed)
        return found
