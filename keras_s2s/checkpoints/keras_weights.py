"""Loads weights with Keras: an unreadable file is an error that names it, and a load that fails
leaves the old weights as they were.
"""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras import ops

from keras_s2s.checkpoints.errors import CheckpointError

#: Ends of the names of HDF5 files.
HDF5 = (".h5", ".hdf5")


def check_weights_file(path: Any) -> None:
    """Raises an error for a file of weights that Keras cannot read.

    Args:
        path: of the file; an address that is not of this machine (`gs://...`) is not looked at.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is a folder, or not the HDF5 file or `.keras` archive that its name
            says, or of another format.

    Example:
        >>> check_weights_file("nowhere.weights.h5")
        Traceback (most recent call last):
        FileNotFoundError: nowhere.weights.h5: there is no such file to load weights from
    """
    name = str(path)
    if "://" in name:
        return
    if not Path(name).exists():
        raise FileNotFoundError(f"{name}: there is no such file to load weights from")
    archive = name.endswith(".keras")
    if not archive and not name.endswith(HDF5):
        if Path(name).is_file() and not name.endswith(".weights.json"):
            raise CheckpointError(
                f"{name}: Keras reads weights from .weights.h5, .h5, .weights.json and .keras "
                "files; others are read by Seq2SeqLM.from_preset, from their folder"
            )
        return
    hint = "weights are saved by model.save_weights, models by model.save"
    if Path(name).is_dir():
        raise CheckpointError(
            f"{name} is a folder, expected a file; folders are read by Seq2SeqLM.from_preset"
        )
    if archive and not zipfile.is_zipfile(name):
        raise CheckpointError(f"{name} is not a .keras archive, or was cut off; {hint}")
    if not archive and not h5py.is_hdf5(name):
        raise CheckpointError(f"{name} is not an HDF5 file, or was cut off; {hint}")


@contextmanager
def noted_misfits() -> Iterator[dict[str, str]]:
    """Notes the weights for which Keras has a value of another shape, by their paths.

    Keras itself tells of one layer at most, and of that not always what was wrong: where a model
    holds a layer in two places, the second visit replaces the message of the first.

    Example:
        >>> variable = keras.Variable([1.0, 2.0], name="bias")
        >>> with noted_misfits() as misfits:
        ...     try:
        ...         variable.assign([1.0])
        ...     except ValueError:
        ...         pass
        >>> misfits
        {'bias': 'shape (2,) in the model, (1,) in the file'}
    """
    found: dict[str, str] = {}
    with _NOTING:
        kind: Any = keras.Variable
        assign = kind.assign

        def noting(variable: Any, value: Any) -> Any:
            shape, given = tuple(variable.shape), np.shape(value)
            if shape != given:
                note = f"shape {shape} in the model, {given} in the file"
                found.setdefault(variable.path, note)
            return assign(variable, value)

        own = "assign" in vars(kind)
        kind.assign = noting
        try:
            yield found
        finally:
            if own:
                kind.assign = assign
            else:
                del kind.assign


#: Held while assignments are noted.
_NOTING = threading.Lock()


@contextmanager
def kept_on_error(variables: Iterable[Any]) -> Iterator[None]:
    """Gives variables their old values back where the code inside raises an error.

    The old values are kept in the memory of the host meanwhile.

    Args:
        variables: Keras variables.
    """
    # An array of PyTorch, and of TensorFlow on the CPU, may share the memory that is written to.
    kept = [(each, np.array(ops.convert_to_numpy(each.value))) for each in variables]
    try:
        yield
    except BaseException:
        for variable, value in kept:
            variable.assign(value)
        raise
