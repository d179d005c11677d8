"""Puts the callbacks that `fit` needs itself around those of its caller.

Each has a module of its own, and a reason in it: `restored_epoch.py`, `tensorflow_passes.py` and
`empty_epochs.py`. The callbacks that a caller may pass are in `callbacks.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_s2s.data.batches import Batches
from keras_s2s.training.callbacks import CompilingMessage
from keras_s2s.training.empty_epochs import EmptyEpochs
from keras_s2s.training.restored_epoch import RestoredEpoch
from keras_s2s.training.tensorflow_passes import PassHooks, needs_no_tuning


def with_own_callbacks(
    callbacks: Sequence[Any], data: Any, *, initial_epoch: int, announce: bool
) -> list[Any]:
    """Returns the callbacks of a `fit`: those that it needs itself, around those of its caller.

    Args:
        callbacks: the caller's.
        data: what `fit` trains on, as it was given.
        initial_epoch: as `fit` was called with.
        announce: whether to say that the first step is compiled.
    """
    before: list[Any] = []
    after: list[Any] = [EmptyEpochs()]
    if needs_no_tuning(data):
        before = [PassHooks(data)]
    if announce:
        before = [CompilingMessage(), *before]
    if isinstance(data, Batches):
        after = [RestoredEpoch(data, initial_epoch), *after]
    return [*before, *callbacks, *after]
