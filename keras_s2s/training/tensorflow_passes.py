"""Gives `fit`, `evaluate` and `predict` a `tf.data.Dataset` whose autotuner is off.

Keras makes such a dataset of batches and arrays itself, with the autotuner on. Its thread sleeps
between checks, each time twice as long, up to a minute; when an epoch's iterator is deleted,
TensorFlow waits for that thread, and now and then its wake-up is lost: an epoch of minutes then
stands still for up to a minute, and a `fit` of six seconds takes ten. Batches and arrays in memory
need no tuning.
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

    Arrays are left to Keras if the call asks for a number of steps, a share for validation,
    `shuffle="batch"` or several replicas, or if they are no arrays of NumPy.

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
    dictionaries or alone; each may be None, an entry of a dictionary may not.
    """
    leaves = keras.tree.flatten([part for part in data if part is not None])
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
            f"x, y and sample_weight have {', '.join(map(str, counts))} rows (arrays of the shapes "
            f"{keras.tree.map_structure(lambda leaf: leaf.shape, rows)}); expected arrays with the "
            "same number of rows, at least one"
        )

    def tensor(leaf: np.ndarray) -> Any:
        is_float = leaf.dtype.kind == "f"
        return tf.convert_to_tensor(leaf, keras.backend.floatx() if is_float else None)

    tensors = keras.tree.map_structure(tensor, rows)

    def taken(places: Any) -> Any:
        return keras.tree.map_structure(lambda leaf: tf.gather(leaf, places), tensors)

    def ordered(seed: Any) -> Any:
        """Returns the places of each batch, cut from all of them at once."""
        places = tf.range(counts[0])
        if shuffle:
            places = tf.random.experimental.stateless_shuffle(places, seed)
        starts = tf.data.Dataset.range(0, counts[0], batch_size)
        return starts.map(lambda start: places[start : start + batch_size])

    options = tf.data.Options()
    options.autotune.enabled = False
    # Another seed in each epoch; `tf.random.shuffle` repeats itself where a global seed is set.
    seeds = tf.data.Dataset.random(rerandomize_each_iteration=True).batch(2).take(1)
    dataset = seeds.flat_map(ordered).map(taken)
    batches = -(-counts[0] // batch_size)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches))
    return dataset.prefetch(2).with_options(options)


def needs_no_tuning(data: Any) -> TypeGuard[Batches]:
    """Returns whether `untuned` is for these data: batches that Keras would read itself."""
    return (
        keras.backend.backend() == "tensorflow"
        and isinstance(data, Batches)
        and data.workers <= 1
        and not data.use_multiprocessing
    )
