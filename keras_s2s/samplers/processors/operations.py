"""Operations that rules are made of: forbidding ids, masks of ids, counts of ids that occur."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import keras
import numpy as np
from keras import ops

from keras_s2s.layers.kernels.readable_values import readable
from keras_s2s.samplers.context import Sources
from keras_s2s.samplers.gather import scattered
from keras_s2s.samplers.processors.base import FORBIDDEN
from keras_s2s.typing import Tensor


def forbid(scores: Tensor, banned: Tensor) -> Tensor:
    """Replaces `scores [R, V]` by `FORBIDDEN` where `banned`, a broadcastable bool, is True."""
    return ops.where(banned, ops.cast(FORBIDDEN, scores.dtype), scores)


def forbid_ids(
    scores: Tensor, tokens: Iterable[int], sources: Sources, when: Tensor | None = None
) -> Tensor:
    """Replaces the scores of a few ids by `FORBIDDEN`.

    Args:
        scores: float `[R, V]`.
        tokens: the ids.
        sources: says which ids scores are of.
        when: bool `[1, 1]` or `[R, 1]`, the rows where they are forbidden; None for all.
    """
    tokens = tuple(tokens)
    if keras.backend.backend() == "torch" and isinstance(sources.candidates, tuple):
        # PyTorch runs each operation by itself: to copy the scores and overwrite a few columns
        # takes a third of the time of `where` over all ids.
        places = ops.convert_to_tensor(_array_of(tokens))
        forbidden = ops.full_like(scores[:, : len(places)], FORBIDDEN)
        if when is not None:
            forbidden = ops.where(when, forbidden, scores[:, places])
        return scores.index_copy(1, places, forbidden)
    banned = is_token(scores, tokens, sources)
    return forbid(scores, banned if when is None else ops.logical_and(banned, when))


def nowhere(when: Tensor) -> bool:
    """Returns whether a condition is known to hold for no row, so that a rule has nothing to do.

    Only where Python runs the step on a CPU (PyTorch) can this be known, at no cost; a compiled
    program cannot read values.
    """
    if isinstance(when, bool):
        return not when
    return readable(when) and not bool(when.any())


def is_token(scores: Tensor, tokens: Iterable[int], sources: Sources | None = None) -> Tensor:
    """Returns the mask of a few ids, `[1, V]`; of scores of all ids a constant of the program.

    Args:
        scores: float `[R, V]`.
        tokens: the ids.
        sources: says which ids scores are of, for a rule with `takes_candidates`. Where each row
            has ids of its own, so has the mask: `[R, V]`.
    """
    if sources is not None and not isinstance(sources.candidates, tuple):
        wanted = ops.convert_to_tensor(np.array(list(tokens), "int32"))
        found = ops.any(sources.candidates[..., None] == wanted, axis=-1)
        return found if len(found.shape) == 2 else found[None]
    return ops.convert_to_tensor(_mask_of(tuple(tokens), scores.shape[-1]))


@lru_cache(maxsize=64)
def _array_of(tokens: tuple[int, ...]) -> np.ndarray:
    return np.array(sorted(set(tokens)), "int64")


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
