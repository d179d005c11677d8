"""Reads `tf_model.h5`, weights written by TensorFlow classes of transformers 2 to 4, without Keras.

A whole checkpoint is written by Keras 2's `save_weights`: a group a layer, and in it a dataset for
each variable, under the variable's name. A variable that two layers use lies in both groups (T5's
shared embedding). The shards of a large checkpoint have no groups: their datasets lie at the top.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.foreign_names import without_scope
from keras_s2s.checkpoints.files.tensor_file import TensorFile, TensorSpec, broken, is_known_dtype


class H5File(TensorFile):
    """A `.h5` file of variables; names begin below the model's own.

    Args:
        path: the file.

    Raises:
        CheckpointError: the file is damaged, is no weight file of Keras 2, or refers to others.
    """

    layout = "tensorflow"

    def __init__(self, path: Path) -> None:
        import h5py

        self.path = path
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise broken(path, f"not a readable HDF5 file ({error})") from None
        self._datasets: dict[str, Any] = {}
        self.specs = {}
        try:
            for name, place in self._variables():
                # The same variable, saved once for each layer that uses it.
                if name not in self.specs:
                    self._datasets[name] = dataset = self._dataset(place)
                    self.specs[name] = self._spec(name, dataset)
        # h5py raises all of these for damaged files.
        except (OSError, KeyError, RuntimeError, AttributeError) as error:
            self.close()
            raise broken(path, f"a damaged HDF5 file ({error})") from None
        except BaseException:
            self.close()
            raise

    def read(self, name: str) -> np.ndarray:
        """Reads a tensor, as it is stored."""
        spec = self.specs[name]
        array = np.empty(spec.shape, spec.dtype)
        try:
            if array.size:
                self._datasets[name].read_direct(array)
        except (OSError, RuntimeError) as error:
            raise broken(self.path, f"the tensor {name} cannot be read ({error})") from None
        return array

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _variables(self) -> Iterator[tuple[str, list[str]]]:
        """Yields every variable: its name below the model's, and the keys that lead to its
        dataset.
        """
        import h5py

        layers = _names(self._file, "layer_names")
        if layers is None:
            raise CheckpointError(
                f"{self.path}: HDF5, but not weights as Keras 2's save_weights wrote them (there "
                "are no layer_names); only a tf_model.h5 of transformers 2 to 4 can be read"
            )
        for layer in layers:
            if self._file.get(layer, getclass=True) is h5py.Dataset:
                yield without_scope(layer, shortened=True), [layer]
                continue
            for name in _names(self._file[layer], "weight_names") or []:
                yield without_scope(name, layer=layer), [layer, name]

    def _dataset(self, place: list[str]) -> Any:
        """Returns the dataset at a place, if it is stored in this file alone.

        HDF5 can refer to other files, also to files that are not HDF5: an untrusted file must not
        choose which files are read.
        """
        import h5py

        found = self._file
        for key in "/".join(place).split("/"):
            if not isinstance(found, h5py.Group):
                raise KeyError(f"no group above {'/'.join(place)}")
            if not isinstance(found.get(key, getlink=True), h5py.HardLink):
                raise CheckpointError(
                    f"{self.path}: {'/'.join(place)} is missing, or a link to somewhere else, "
                    "which is not followed; save the checkpoint as one plain file"
                )
            found = found[key]
        if not isinstance(found, h5py.Dataset):
            raise KeyError(f"{'/'.join(place)} is no dataset")
        if found.external or found.is_virtual:
            raise CheckpointError(
                f"{self.path}: the values of {'/'.join(place)} lie in another file, which is not "
                "read; save the checkpoint as one plain file"
            )
        return found

    def _spec(self, name: str, dataset: Any) -> TensorSpec:
        dtype = dataset.dtype.name
        if not is_known_dtype(dtype):
            raise CheckpointError(
                f"{self.path}: the tensor {name} is of the type {dtype}, not of numbers"
            )
        return TensorSpec(tuple(dataset.shape), dtype)


def _names(group: Any, attribute: str) -> list[str] | None:
    """Returns a list of names among a group's attributes; `None` where it is missing.

    A list too long for one attribute is spread over `NAME0`, `NAME1`, ...
    """
    if attribute in group.attrs:
        found = list(group.attrs[attribute])
    elif f"{attribute}0" in group.attrs:
        found, part = [], 0
        while f"{attribute}{part}" in group.attrs:
            found += list(group.attrs[f"{attribute}{part}"])
            part += 1
    else:
        return None
    return [name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in found]


__all__ = ["H5File"]
