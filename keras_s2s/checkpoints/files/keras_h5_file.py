"""Reads `*.weights.h5`, weights that Keras 3 saved, without Keras.

Each layer is a group, and its variables are the datasets `vars/0`, `vars/1`, ... of that group. A
large model may be split over several files, which a `*.weights.json` lists.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.h5_file import H5File
from keras_s2s.checkpoints.files.tensor_file import TensorSpec, broken

WEIGHTS = "model.weights.h5"
SHARDS = "model.weights.json"


class KerasH5File(H5File):
    """A `.weights.h5` of Keras 3; a tensor's name is the path of its dataset.

    Raises:
        CheckpointError: the file is damaged, or refers to others.
    """

    def _variables(self) -> Iterator[tuple[str, list[str]]]:
        import h5py

        names: list[str] = []

        def collect(name: str, found: object) -> None:
            if isinstance(found, h5py.Dataset) and name.split("/")[-2:-1] == ["vars"]:
                names.append(name)

        # Links to other places are not followed.
        self._file.visititems(collect)
        for name in names:
            yield name, [name]


class KerasWeights:
    """The weights of a folder that Keras saved, in one file or several.

    Args:
        folder: the folder.

    Attributes:
        specs: shape and type of every tensor, by name.

    Raises:
        CheckpointError: there are no weights, or a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._files: list[KerasH5File] = []
        self._of: dict[str, KerasH5File] = {}
        self.specs: dict[str, TensorSpec] = {}
        try:
            for path in _paths(folder):
                file = KerasH5File(path)
                self._files.append(file)
                for name, spec in file.specs.items():
                    self._of[name] = file
                    self.specs[name] = spec
        except BaseException:
            self.close()
            raise

    def read(self, name: str) -> np.ndarray:
        """Reads a tensor, as it is stored."""
        return self._of[name].read(name)

    def file_of(self, name: str) -> Path:
        """Returns the file that holds a tensor."""
        return self._of[name].path

    def close(self) -> None:
        """Closes the files."""
        for file in self._files:
            file.close()


def _paths(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    listing = folder / SHARDS
    if not listing.is_file():
        raise CheckpointError(
            f"{folder}: there is neither {WEIGHTS} nor {SHARDS}; the folder has no weights"
        )
    try:
        shards = json.loads(listing.read_text(encoding="utf-8"))["weight_map"].values()
        names = {
            name for shard in shards for name in ([shard] if isinstance(shard, str) else shard)
        }
        # Names of files beside it, whatever they say.
        paths = [folder / Path(name).name for name in sorted(names)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise broken(listing, f"not a list of weight files ({error!r})") from None
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise CheckpointError(f"{listing}: {', '.join(missing)} is missing; fetch the folder again")
    return paths
