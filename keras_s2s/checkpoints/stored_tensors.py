"""Tensors of a checkpoint, whichever files they are in: checked against a model, and assigned to it
one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from keras_s2s.checkpoints.assignment import Assignments
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.tensor_file import TensorSpec

#: Types that weights may be stored in.
FLOATS = ("float32", "bfloat16", "float16", "float64")

#: What a caller may do where tensors are missing or too many, and none has another shape.
LEAVES_THE_REST = "strict=False leaves what is missing at random, and the rest unused"


class Weights(Protocol):
    """Open files of weights.

    Attributes:
        specs: shape and type of every tensor, by name.
    """

    @property
    def specs(self) -> Mapping[str, TensorSpec]: ...

    def read(self, name: str) -> np.ndarray: ...

    def file_of(self, name: str) -> Path: ...


class StoredTensor(NamedTuple):
    """A tensor in a file.

    Attributes:
        name: its name there.
        file: that holds it.
        shape: of its values.
        dtype: of its values, a name.
        read: returns its values.
    """

    name: str
    file: Path
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]

    def problems(self, wanted: tuple[int, ...], settings: str) -> list[str]:
        """Returns why it cannot be used for a variable, in words; empty where it can.

        Args:
            wanted: the shape that it should have.
            settings: what this shape comes from: a file, or what else is known.
        """
        found = []
        if self.dtype not in FLOATS:
            found.append(
                f"wrong type: {self.name} in {self.file} is {self.dtype}, not one of "
                + ", ".join(FLOATS)
            )
        if self.shape != wanted:
            found.append(
                f"wrong shape: {self.name} in {self.file} is {self.shape}; by {settings} it should "
                f"be {wanted}"
            )
        return found


def stored_tensors(weights: Weights) -> dict[str, StoredTensor]:
    """Returns all tensors of open files by their names."""
    return {name: stored_tensor(weights, name) for name in weights.specs}


def stored_tensor(weights: Weights, name: str) -> StoredTensor:
    """Returns one tensor of open files."""
    spec = weights.specs[name]
    return StoredTensor(
        name, weights.file_of(name), tuple(spec.shape), spec.dtype, lambda: weights.read(name)
    )


class TensorsToVariables(Assignments):
    """Assigns tensors to variables, and keeps account of them for a `LoadReport`.

    Args:
        origin: the file or folder, for messages.
    """

    def __init__(self, origin: Any) -> None:
        super().__init__(origin)
        self._files: dict[str, None] = {}
        self._loaded: dict[str, None] = {}
        self._dtypes: set[str] = set()

    def fill(
        self, variable: Any, tensor: StoredTensor, convert: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        """Reads a tensor and assigns its values to a variable.

        Args:
            variable: it is changed.
            tensor: the source of its values.
            convert: from the tensor's layout to the variable's.
        """
        array = tensor.read()
        self.note(tensor, array)
        self(tensor.name, variable, convert(array))

    def note(self, tensor: StoredTensor, array: np.ndarray) -> None:
        """Takes a tensor that was read into the account."""
        self._files[tensor.file.name] = None
        self._loaded[tensor.name] = None
        self._dtypes.add(str(array.dtype))

    def account(self) -> dict[str, tuple[str, ...]]:
        """Returns the parts `files`, `loaded` and `dtypes` of a `LoadReport`."""
        return {
            "files": tuple(self._files),
            "loaded": tuple(self._loaded),
            "dtypes": tuple(sorted(self._dtypes)),
        }


def refuse_misfits(
    origin: Any, problems: Sequence[str], *, model: str, remedy: str | None = None
) -> None:
    """Raises an error if some tensors do not fit a model.

    Args:
        origin: the file or folder.
        problems: one line each; the first twenty are shown.
        model: which model, in words: "that config.json describes".
        remedy: a last line.

    Raises:
        CheckpointError: there are problems.
    """
    if not problems:
        return
    lines = [
        *problems[:20],
        *(["..."] if len(problems) > 20 else []),
        *([remedy] if remedy else []),
    ]
    count = "1 tensor does" if len(problems) == 1 else f"{len(problems)} tensors do"
    raise CheckpointError(
        f"{origin}: {count} not fit the model {model}".rstrip()
        + "\n"
        + "\n".join(f"  {line}" for line in lines)
    )


__all__ = [
    "FLOATS",
    "LEAVES_THE_REST",
    "StoredTensor",
    "TensorsToVariables",
    "Weights",
    "refuse_misfits",
    "stored_tensor",
    "stored_tensors",
]
