"""Operations that rules are made of: forbidding ids, masks of ids, counts of ids that occur."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from keras import ops

from keras_s2s.layers.kernels.readable_values import readable
from keras_s2s.samplers.gather import scattered
from keras_s2s.samplers.processors.base import FORBIDDEN
from keras_s2s.typing import Tensor


def forbid(scores: Tensor, banned: Tensor) -> Tensor:
    """Replaces `scores [R, V]` by `FORBIDDEN` where `banned`, a broadcastable bool, is True."""
    return ops.where(banned, ops.cast(FORBIDDEN, scores.dtype), scores)


def nowhere(when: Tensor) -> bool:
    """Returns whether a condition is known to hold for no row, so that a rule has nothing to do.

    Only where Python runs the step on a CPU (PyTorch) can this be known, at no cost; a compiled
    program cannot read values.
    """
    if isinstance(when, bool):
        return not when
    return readable(when) and not bool(when.any())


def is_token(scores: Tensor, tokens: Iterable[int]) -> Tensor:
    """Returns the mask `[1, V]` of a few ids, a constant of the program."""
    return ops.convert_to_tensor(_mask_of(tuple(tokens), scores.shape[-1]))


@lru_cache(maxsize=64)
def _mask_of(tokens: tuple[int, ...], vocabulary: int) -> np.ndarray:
    mask = np.zeros((1, vocabulary), bool)
    mask[0, list(tokens)] = True
    return mask


def occurrences(ids: Tensor, where: Tensor, vocabulary: int) -> Tensor:
    """Counts how often each id occurs in each row: int32 `[R, V]`, from `ids` at `where [R, N]`."""
    return scattered(ops.cast(where, "int32"), ids, vocabulary)


def occur(ids: Tensor, where: Tensor, vocabulary: int) -> Tensor:
    """Returns which ids occur in each row: bool `[R, V]` from `ids [R, N]` at which `where [R,
    N]`.
    """
    return occurrences(ids, where, vocabulary) > 0
