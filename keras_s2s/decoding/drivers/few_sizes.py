"""Base class of drivers that make a program for each size of a batch, and so keep to few sizes."""

from __future__ import annotations

from keras_s2s.decoding.drivers.driver import Driver
from keras_s2s.decoding.padded_inputs import round_up_length

#: Fewer steps than these have programs made for so many.
LEAST_CAPACITY = 16

#: Below so many rows a step costs the same.
LEAST_ROWS = 8


class FewSizes(Driver):
    """Base class of drivers with a program for each size of rows, capacity and candidates."""

    def rows_worth_keeping(self, live: int, size: int) -> int:
        # Halves, so that few sizes are compiled.
        kept = size
        while kept // 2 >= live and kept // 2 * self.loop.sampler.width >= LEAST_ROWS:
            kept //= 2
        return kept

    def rows_when_joined(self, live: int, size: int) -> int:
        kept = self.rows_worth_keeping(live, size)
        return kept if kept >= live else 1 << (live - 1).bit_length()

    def capacity_for(self, steps: int, limit: int) -> int:
        # Powers of two, so that programs do not depend on the limit.
        return min(steps, max(LEAST_CAPACITY, 1 << (limit - 1).bit_length()))

    def candidates_for(self, wanted: int) -> int:
        # Eighths of powers of two, so that few sizes are compiled.
        return round_up_length(wanted)
