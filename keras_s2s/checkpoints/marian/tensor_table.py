"""Maps variables of a network to Marian's tensors, by the table of a family."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from keras_s2s.checkpoints.marian.family import MarianTables
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
        tables: of the family.
        architecture: of the model.
        numbers: Marian's number of each decoder block, where layers share blocks; None counts.
    """

    def __init__(
        self,
        tables: MarianTables,
        architecture: ArchitectureConfig,
        numbers: Sequence[int] | None = None,
    ) -> None:
        self._rules = [
            (_pattern(ours), [theirs] if isinstance(theirs, str) else theirs)
            for ours, theirs in tables.tensors.items()
        ]
        self._weights = tables.weights
        self._architecture = architecture
        self._nematus = getattr(architecture.decoder, "readout_norm", None) == "nematus"
        self._numbers = numbers

    def place(self, path: str, present: Collection[str] | None = None) -> Place | None:
        """Returns the tensor of a variable; None where the table has none.

        Args:
            path: of the variable.
            present: the names in a file, or those of them that are not usual, which choose where a
                table has several.
        """
        for pattern, names in self._rules:
            match = pattern.fullmatch(self._as_in_steps(path))
            if match is None:
                continue
            parts = match.groupdict()
            if "w" in parts:
                if parts["w"] not in self._weights:
                    continue
                parts["w"] = self._weights[parts["w"]]
            if "j" in parts:
                parts["m"] = str(int(parts["j"]) + 1)
            if "i" in parts:
                parts["n"] = str(self._number(parts.get("side", "decoder"), int(parts["i"])))
            found = [name.format(**parts) for name in names]
            usual = found[-1 if self._nematus else 0]
            chosen = next(
                (name for name in found if name.removesuffix(TRANSPOSED) in (present or ())),
                usual if path.endswith("gamma") else found[0],
            )
            return Place(path, chosen.removesuffix(TRANSPOSED), chosen.endswith(TRANSPOSED))
        return None

    def unusual(self, names: Collection[str]) -> tuple[str, ...]:
        """Returns the names of a file that are not the first of a table's alternatives."""
        others = {
            name.removesuffix(TRANSPOSED) for _, several in self._rules for name in several[1:]
        }
        return tuple(sorted(others & set(names)))

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
    for name in "ij":
        escaped = escaped.replace(rf"\{{{name}\}}", rf"(?P<{name}>\d+)")
    return re.compile(escaped.replace(r"\{w\}", r"(?P<w>\w+)"))
