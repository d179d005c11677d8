"""Gives `fit`, `evaluate` and `predict` a `tf.data.Dataset` whose autotuner is off.

Keras makes such a dataset of batches and arrays itself, with the autotuner on. Its thread sleeps,
twice as long each time, for up to a minute; when an epoch's iterator is deleted, TensorFlow waits
for that thread, and now and then its wake-up is lost: an epoch of minutes then stands still for up
to a minute, and a `fit` of six seconds takes ten. Arrays leave nothing to tune.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

import keras
import numpy as np

from keras_s2s.data.batches import Batches

#: Rows of a batch of arrays where none are asked for, as in Keras.
BATCH_SIZE = 32


class PassHooks(keras.callbacks.Callback):
    """Tells batches where a pass begins and ends, as Keras tells a `PyDataset`.

    Args:
        batches: that are passed through.
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.batches.on_epoch_begin()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.batches.on_epoch_end()


def untuned(batches: Batches) -> Any:
    """Returns the batches as a dataset, which reads their order anew at the start of each epoch.

    Args:
        batches: with one worker; Keras' own way is used for more.
    """
    import tensorflow as tf

    def one_pass() -> Iterator[Any]:
        for index in range(len(batches)):
            yield batches[index]

    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_generator(one_pass, output_signature=batches.tf_signature())
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))
    return dataset.prefetch(2).with_options(options)


def without_tuning(
    model: Any, given: dict[str, Any], validation: str | None = None
) -> dict[str, Any]:
    """Returns the arguments of `fit`, `evaluate` or `predict` with datasets in the place of arrays.

    Keras makes the batches itself where it is asked for more than all rows of plain arrays: for a
    number of steps, a share of the rows, an order of batches, several replicas.

    Args:
        model: whose method is called.
        given: the arguments by name.
        validation: the name of the validation data among them; None where none can be, and rows
            keep their order.
    """
    asked = ("steps", "steps_per_epoch", "validation_steps", "validation_split")
    if (
        keras.backend.backend() != "tensorflow"
        or model.distribute_strategy.num_replicas_in_sync > 1
        or any(given.get(name) for name in asked)
        or given.get("shuffle") == "batch"
    ):
        return given
    given = dict(given)
    size = given.get("batch_size") or BATCH_SIZE
    held_out = None if validation is None else given.get(validation)
    if validation is not None and isinstance(held_out, tuple | list) and are_arrays(held_out):
        given[validation] = arrays_untuned(
            held_out, given.pop("validation_batch_size", None) or size, shuffle=False
        )
    rows = given.get("x"), given.get("y"), given.get("sample_weight")
    if are_arrays(rows):
        shuffle = validation is not None and bool(given.get("shuffle", True))
        given["x"] = arrays_untuned(rows, size, shuffle=shuffle)
        for name in ("y", "sample_weight", "batch_size"):
            given.pop(name, None)
        if validation is not None:
            given["shuffle"] = False  # the dataset does it
    return given


def are_arrays(data: Any) -> bool:
    """Returns whether `(x, y, sample_weight)`, or fewer of them, are plain arrays of NumPy, in
    dictionaries or alone; y and sample_weight may be None.
    """
    leaves = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
    return bool(leaves) and all(
        isinstance(leaf, np.ndarray) and leaf.ndim and leaf.dtype.kind in "biuf" for leaf in leaves
    )


def arrays_untuned(data: Any, batch_size: int, *, shuffle: bool) -> Any:
    """Returns arrays as a dataset of batches.

    Args:
        data: `(x, y, sample_weight)`, or fewer of them, see `are_arrays`.
        batch_size: rows of a batch; the last one has what remains.
        shuffle: draw the order of rows anew at the start of each epoch.

    Raises:
        ValueError: arrays with different numbers of rows, or with none.
    """
    import tensorflow as tf

    rows = keras.utils.pack_x_y_sample_weight(*data)
    counts = sorted({len(leaf) for leaf in keras.tree.flatten(rows)})
    if len(counts) > 1 or not counts[0]:
        raise ValueError(
            f"x, y and sample_weight have {', '.join(map(str, counts))} rows; expected arrays with "
            "the same number of rows, at least one"
        )

    def tensor(leaf: np.ndarray) -> Any:
        is_float = leaf.dtype.kind == "f"
        return tf.convert_to_tensor(leaf, keras.backend.floatx() if is_float else None)

    tensors = keras.tree.map_structure(tensor, rows)

    def taken(places: Any) -> Any:
        return keras.tree.map_structure(lambda leaf: tf.gather(leaf, places), tensors)

    order = tf.data.Dataset.range(counts[0])
    if shuffle:
        order = order.shuffle(counts[0], reshuffle_each_iteration=True)
    options = tf.data.Options()
    options.autotune.enabled = False
    return order.batch(batch_size).map(taken).prefetch(2).with_options(options)


def needs_no_tuning(data: Any) -> TypeGuard[Batches]:
    """Returns whether `untuned` is for these data: batches that Keras would read itself."""
    return (
        keras.backend.backend() == "tensorflow"
        and isinstance(data, Batches)
        and data.workers <= 1
        and not data.use_multiprocessing
    )
