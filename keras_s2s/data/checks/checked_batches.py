"""Checks batches of data that are not known in advance, as `fit` reads them."""

from __future__ import annotations

import copy
import types
from collections.abc import Callable, Iterator
from typing import Any

import keras

#: Takes a batch and its name for messages; raises where the batch cannot be used.
Check = Callable[[Any, str], None]


def checked_batches(data: Any, check: Check, name: str) -> Any:
    """Returns `data` with a check of each batch.

    Args:
        data: a `PyDataset`, a generator, a `tf.data.Dataset` or a PyTorch `DataLoader`; anything
            else is returned as it is.
        check: is given each batch, NumPy or tensors.
        name: of the data, for messages.
    """
    if isinstance(data, keras.utils.PyDataset):
        return CheckedDataset(data, check, name)
    if isinstance(data, types.GeneratorType):
        return _checked(data, check, name)
    origins = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(data).__mro__}
    if ("torch", "DataLoader") in origins:
        return _checked_loader(data, check, name)
    if ("tensorflow", "DatasetV2") in origins:
        return _checked_tf_dataset(data, check, name)
    return data


def _checked_loader(loader: Any, check: Check, name: str) -> Any:
    """Returns a `DataLoader` that checks what it has collated."""
    found, collate = copy.copy(loader), loader.collate_fn

    def collated(examples: Any) -> Any:
        batch = collate(examples)
        check(batch, f"{name}: a batch of the DataLoader")
        return batch

    found.collate_fn = collated
    return found


def _checked_tf_dataset(dataset: Any, check: Check, name: str) -> Any:
    """Returns a `tf.data.Dataset` that checks each element in Python."""
    import tensorflow as tf

    def checked(*element: Any) -> Any:
        def look(*arrays: Any) -> Any:
            check(tf.nest.pack_sequence_as(element, arrays), f"{name}: a batch of the Dataset")
            return True

        seen = tf.numpy_function(look, tf.nest.flatten(element), tf.bool, stateful=True)
        with tf.control_dependencies([seen]):
            return tf.nest.map_structure(tf.identity, element)

    return dataset.map(checked)


def _checked(batches: Iterator[Any], check: Check, name: str) -> Iterator[Any]:
    for number, batch in enumerate(batches):
        check(batch, f"{name}: batch {number}")
        yield batch


class CheckedDataset(keras.utils.PyDataset):
    """A `PyDataset` that checks the batches of another one.

    Args:
        data: where the batches come from.
        check, name: as of `checked_batches`.
    """

    def __init__(self, data: keras.utils.PyDataset, check: Check, name: str) -> None:
        super().__init__(
            workers=data.workers,
            use_multiprocessing=data.use_multiprocessing,
            max_queue_size=data.max_queue_size,
        )
        self.data = data
        self._check = check
        self._name = name

    @property
    def num_batches(self) -> int | None:
        number: int | None = self.data.num_batches
        return number

    def __getitem__(self, index: int) -> Any:
        batch = self.data[index]
        self._check(batch, f"{self._name}: batch {index}")
        return batch

    def on_epoch_begin(self) -> None:
        self.data.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.data.on_epoch_end()
