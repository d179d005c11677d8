"""Reads PyTorch's `pytorch_model.bin`, where PyTorch is installed; only tensors are unpickled."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.tensor_file import TensorFile, TensorSpec, broken, is_known_dtype

# How PyTorch's files have begun since 1.6; older ones are bare pickles.
_ZIP = b"PK\x03\x04"

# Mapped pages count as memory for as long as the mapping lives: it is made anew after this many
# bytes, or this share of a large file.
_RENEW_BYTES = 32 * 2**20
_RENEW_SHARE = 0.05


def torch_is_installed() -> bool:
    """Returns whether `.bin` files can be read here, without importing PyTorch."""
    return importlib.util.find_spec("torch") is not None


class TorchFile(TensorFile):
    """A `.bin` file: a pickled dictionary of tensors.

    A file of PyTorch 1.6 or newer is mapped, so that one tensor at a time takes memory. An older
    one has no table of places: it is loaded whole.

    Args:
        path: the file.
        state_dict: the key of the dictionary of tensors in a file that holds one beside other
            things, such as the state of an optimizer.

    Raises:
        CheckpointError: PyTorch is missing, the file is damaged, or it holds more than tensors.
    """

    layout = "torch"

    def __init__(self, path: Path, state_dict: str | None = None) -> None:
        if not torch_is_installed():
            raise CheckpointError(
                f"{path}: only PyTorch reads .bin files, and it is not installed; "
                "`pip install keras_s2s[torch]`, or take a version of the checkpoint that has a "
                "model.safetensors"
            )
        self.path = path
        self._key = state_dict
        with path.open("rb") as file:
            self._mapped = file.read(len(_ZIP)) == _ZIP
        self._tensors: dict[str, Any] | None = self._load()
        self._touched = 0
        self._renew_after = max(_RENEW_BYTES, int(path.stat().st_size * _RENEW_SHARE))
        self.specs = {name: self._spec(name, tensor) for name, tensor in self._tensors.items()}

    def read(self, name: str) -> np.ndarray:
        """Reads a tensor, copied out of the file."""
        import torch

        if self._tensors is None:
            self._tensors, self._touched = self._load(), 0
        spec = self.specs[name]
        tensor = self._tensors[name]
        if spec.dtype == "bfloat16":
            # NumPy has no such type, so that PyTorch gives the bits.
            import ml_dtypes

            bits = np.array(tensor.contiguous().view(torch.int16).numpy())
            array = bits.view(ml_dtypes.bfloat16)
        else:
            array = np.array(tensor.numpy(), order="C")
        self._touched += spec.nbytes
        if self._mapped and self._touched > self._renew_after:
            del tensor
            self._tensors = None
        return array

    def close(self) -> None:
        """Releases the tensors and the mapped file."""
        self._tensors = None

    def _load(self) -> dict[str, Any]:
        import torch

        try:
            loaded = torch.load(
                self.path, weights_only=True, map_location="cpu", mmap=self._mapped or None
            )
        except pickle.UnpicklingError as error:
            if "weights_only" not in str(error) and "Unsupported" not in str(error):
                raise broken(self.path, f"not a PyTorch file ({_first_line(error)})") from None
            raise CheckpointError(
                f"{self.path}: holds more than tensors, which could run code while it is loaded, "
                "and is refused; take a version of the checkpoint that has a model.safetensors, "
                "or save the model's state_dict() alone, as save_pretrained does "
                f"({_first_line(error)})"
            ) from None
        # PyTorch documents no types for damaged files; these are the ones that it raises.
        except (RuntimeError, EOFError, ValueError, OSError, KeyError, TypeError) as error:
            raise broken(self.path, f"not a PyTorch file ({_first_line(error)})") from None
        if self._key is not None:
            loaded = self._inner(loaded, self._key)
        if not _is_table(loaded):
            inner = _keys_of_tables(loaded)
            raise CheckpointError(
                f"{self.path}: not a plain table of tensors by name, which is what a "
                "pytorch_model.bin is; save the model's state_dict() alone, as save_pretrained does"
                + (f"; it has such tables under the keys {', '.join(inner)}" if inner else "")
                + (" (a torch_rnn.yaml beside it may say `state_dict: KEY`)" if inner else "")
            )
        return {name: tensor.detach() for name, tensor in loaded.items()}

    def _inner(self, loaded: Any, key: str) -> Any:
        if isinstance(loaded, dict) and key in loaded:
            return loaded[key]
        keys = ", ".join(_keys_of_tables(loaded)) or "none with a table of tensors"
        raise CheckpointError(f"{self.path}: has no key {key}; its keys: {keys}")

    def _spec(self, name: str, tensor: Any) -> TensorSpec:
        dtype = str(tensor.dtype).removeprefix("torch.")
        plain = str(tensor.layout) == "torch.strided" and not tensor.is_quantized
        # NumPy's bridge has no float8.
        if not plain or not is_known_dtype(dtype) or dtype.startswith("float8"):
            raise CheckpointError(
                f"{self.path}: the tensor {name} is a {tensor.layout} tensor of the type {dtype}, "
                "which cannot be read; save the checkpoint with plain weights"
            )
        return TensorSpec(tuple(tensor.shape), dtype)


def _is_table(loaded: Any) -> bool:
    """Returns whether this is a dictionary of tensors by their names."""
    import torch

    return isinstance(loaded, dict) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in loaded.items()
    )


def _keys_of_tables(loaded: Any) -> list[str]:
    """Returns the keys of a dictionary whose values are tables of tensors."""
    if not isinstance(loaded, dict):
        return []
    return [
        key for key, value in loaded.items() if isinstance(key, str) and value and _is_table(value)
    ]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


__all__ = ["TorchFile", "torch_is_installed"]
