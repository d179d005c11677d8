"""Opens the files of a state dict: safetensors, .npz, and .pt by PyTorch's weights-only reader."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.npz_file import NpzFile
from keras_s2s.checkpoints.files.safetensors_file import SafetensorsFile
from keras_s2s.checkpoints.files.tensor_file import TensorFile, TensorSpec, broken, refuse_pointer
from keras_s2s.checkpoints.files.torch_file import TorchFile
from keras_s2s.checkpoints.files.weight_files import is_plain_name

#: Endings of files that PyTorch writes.
TORCH_ENDINGS = (".pt", ".pth", ".bin")
ENDINGS = (".safetensors", *TORCH_ENDINGS, ".npz")


class StateDict:
    """The open tensors of a model; a context manager.

    Args:
        folder: where the files lie.
        weights: the name of a file; or several, each with the prefix of its tensors; or None, where
            the folder has one file of weights alone.
        key: of the state dict in files of PyTorch that hold more.
        origin: of these settings, for messages.

    Attributes:
        specs: shape and type of every tensor, by its name with the prefix.

    Raises:
        CheckpointError: files that are missing, broken, or more than plain tensors.
    """

    def __init__(
        self,
        folder: Path,
        weights: str | Mapping[str, str] | None,
        *,
        key: str | None = None,
        origin: str,
    ) -> None:
        self._files = ExitStack()
        self._places: dict[str, tuple[TensorFile, str]] = {}
        if weights is None:
            weights = _only_file(folder, origin)
        names = {"": weights} if isinstance(weights, str) else dict(weights)
        try:
            for prefix, name in names.items():
                file = _open(folder, name, key, origin)
                self._files.callback(file.close)
                self._add(file, f"{prefix}." if prefix else "")
        except BaseException:
            self.close()
            raise
        self.specs: Mapping[str, TensorSpec] = {
            name: file.specs[stored] for name, (file, stored) in self._places.items()
        }

    def _add(self, file: TensorFile, prefix: str) -> None:
        for stored in file.specs:
            name = prefix + stored
            if name in self._places:
                other = self._places[name][0].path.name
                raise broken(file.path, f"the tensor {name} is in {other} as well", "leave one out")
            self._places[name] = (file, stored)

    def file_of(self, name: str) -> Path:
        """Returns the file that holds a tensor."""
        return self._places[name][0].path

    def read(self, name: str) -> np.ndarray:
        """Reads a tensor."""
        file, stored = self._places[name]
        return file.read(stored)

    def close(self) -> None:
        """Closes the files."""
        self._files.close()


def _only_file(folder: Path, origin: str) -> str:
    names = sorted(path.name for path in folder.iterdir() if path.suffix in ENDINGS)
    if len(names) == 1:
        return names[0]
    found = " and ".join(names) + " are here" if names else "the folder has no file of weights"
    raise CheckpointError(
        f"{origin}: weights: {found}; name a file that ends in {', '.join(ENDINGS)}"
        + (", or several as {encoder: FILE, decoder: FILE}" if names else "")
    )


def _open(folder: Path, name: str, key: str | None, origin: str) -> TensorFile:
    path = folder / name
    if not is_plain_name(name):
        raise CheckpointError(
            f"{origin}: weights: {name!r} is not the name of a file in this folder; nothing "
            "outside of it is read"
        )
    if path.suffix not in ENDINGS:
        raise CheckpointError(
            f"{origin}: weights: {name}: expected a file that ends in {', '.join(ENDINGS)}"
        )
    if not path.is_file():
        raise CheckpointError(f"{origin}: weights: there is no file {name} beside it")
    refuse_pointer(path)
    if path.suffix in TORCH_ENDINGS:
        return TorchFile(path, state_dict=key)
    if key is not None:
        raise CheckpointError(
            f"{origin}: state_dict: {key} is for files that PyTorch wrote, not {name}"
        )
    return NpzFile(path) if path.suffix == ".npz" else SafetensorsFile(path)
