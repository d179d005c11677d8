"""Maps variables of a network to Marian's tensors, by the table of a family."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from keras_s2s.config import ArchitectureConfig, StackConfig

#: Ends the name of a tensor that lies transposed.
TRANSPOSED = "^T"


class Place(NamedTuple):
    """The tensor that holds a variable.

    Attributes:
        path: of the variable.
        name: of the tensor.
        transposed: whether it is the variable's transpose.
    """

    path: str
    name: str
    transposed: bool

    def shape_of(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the tensor's shape for a variable's."""
        return (1, *shape) if len(shape) == 1 else shape[::-1] if self.transposed else shape

    def read(self, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Returns the variable's values for the tensor's."""
        return np.ascontiguousarray(array.T if self.transposed else array).reshape(shape)

    def write(self, array: np.ndarray) -> np.ndarray:
        """Returns the tensor's values for the variable's; the inverse of `read`."""
        if array.ndim == 1:
            return array[None]
        return np.ascontiguousarray(array.T if self.transposed else array)


class TensorTable:
    """The table of a family, for one architecture.

    Args:
        tensors: the family's table.
        architecture: of the model.
        numbers: Marian's number of each decoder block, where layers share blocks; None counts.
    """

    def __init__(
        self,
        tensors: Mapping[str, str | list[str]],
        architecture: ArchitectureConfig,
        numbers: Sequence[int] | None = None,
    ) -> None:
        self._rules = [
            (_pattern(ours), [theirs] if isinstance(theirs, str) else theirs)
            for ours, theirs in tensors.items()
        ]
        self._architecture = architecture
        self._numbers = numbers

    def place(self, path: str, present: Collection[str] | None = None) -> Place | None:
        """Returns the tensor of a variable; None where the table has none.

        Args:
            path: of the variable.
            present: the names in a file, which choose where a table has several; None takes the
                first.
        """
        for pattern, names in self._rules:
            match = pattern.fullmatch(self._as_in_steps(path))
            if match is None:
                continue
            parts = match.groupdict()
            if "i" in parts:
                parts["n"] = str(self._number(parts.get("side", "decoder"), int(parts["i"])))
            found = [name.format(**parts) for name in names]
            chosen = next(
                (name for name in found if name.removesuffix(TRANSPOSED) in (present or ())),
                found[0],
            )
            return Place(path, chosen.removesuffix(TRANSPOSED), chosen.endswith(TRANSPOSED))
        return None

    def _as_in_steps(self, path: str) -> str:
        """Returns the path that a normalisation would have among `steps`, by which tables name
        those before a sub-layer and those after it.
        """
        side = getattr(self._architecture, path.partition("/")[0], None)
        if isinstance(side, StackConfig) and side.norm_order == "pre":
            return re.sub(r"(/layer_\d+/\w+)_norm/", r"\1_input_norm/", path)
        return path

    def _number(self, side: str, block: int) -> int:
        if side == "decoder" and self._numbers is not None:
            return self._numbers[block]
        return block + 1


def _pattern(ours: str) -> re.Pattern[str]:
    escaped = re.escape(ours).replace(r"\{side\}", "(?P<side>encoder|decoder)")
    return re.compile(escaped.replace(r"\{i\}", r"(?P<i>\d+)"))
