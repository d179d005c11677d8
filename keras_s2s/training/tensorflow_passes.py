"""Gives `fit` and `evaluate` batches as a `tf.data.Dataset` whose autotuner is off.

Keras makes such a dataset of a `PyDataset` itself, with the autotuner on. Its thread sleeps for up
to a minute; when an epoch's iterator is deleted, in the first step of the next one, TensorFlow
waits for that thread, and now and then its wake-up is lost: an epoch of minutes then stands still
for up to a minute. Batches of NumPy arrays leave nothing to tune.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

import keras

from keras_s2s.data.batches import Batches


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


def needs_no_tuning(data: Any) -> TypeGuard[Batches]:
    """Returns whether `untuned` is for these data: batches that Keras would read itself."""
    return (
        keras.backend.backend() == "tensorflow"
        and isinstance(data, Batches)
        and data.workers <= 1
        and not data.use_multiprocessing
    )
