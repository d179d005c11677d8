"""Histories: the ids of each sequence so far, and their log-probabilities."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_s2s.samplers.plan import Plan
from keras_s2s.typing import Tensor


def histories(shape: tuple[Any, ...], capacity: Tensor, plan: Plan) -> dict[str, Tensor]:
    """Returns empty histories: ids and their log-probabilities, `[*shape, capacity]` each."""
    return {
        "token_ids": ops.full((*shape, capacity), plan.pad, dtype="int32"),
        "log_probs": ops.zeros((*shape, capacity), dtype="float32"),
    }


def extended(buffer: Tensor, capacity: Tensor, empty: float) -> Tensor:
    """Makes room for `capacity` steps in `buffer [..., C]`, filled with `empty`."""
    shape = ops.shape(buffer)
    room = ops.full((*shape[:-1], capacity - shape[-1]), empty, dtype=buffer.dtype)
    return ops.concatenate([buffer, room], axis=-1)
