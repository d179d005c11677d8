"""A variable of a model of two halves, and the tensor that fills it."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from keras_s2s.checkpoints.huggingface.half import HalfCheckpoint
from keras_s2s.checkpoints.huggingface.key_table import Entry
from keras_s2s.checkpoints.stored_tensors import StoredTensor

#: The layer between both sides: ours, and theirs.
PROJECTION = "memory_projection"
THEIR_PROJECTION = "enc_to_dec_proj"


class Row(NamedTuple):
    """A variable, its tensor and the side whose tables name it.

    Attributes:
        entry: the variable and its tensor, by the names of the side's tables.
        half: the side; None for the layer between both.
        tensor: None where no file has it.
    """

    entry: Entry
    half: HalfCheckpoint | None
    tensor: StoredTensor | None

    @property
    def is_optional(self) -> bool:
        """Whether a half may lack it without its being new: it is zero then."""
        return self.half is not None and self.entry.theirs in self.half.tables.optional


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Returns whether a path fits one of the patterns."""
    return any(fnmatchcase(path, pattern) for pattern in patterns)
