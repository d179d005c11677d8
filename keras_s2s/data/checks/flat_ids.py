"""Checks that what a caller gave is a list of ids."""

from __future__ import annotations

from typing import Any

import numpy as np


def flat_ids(what: str, ids: Any, vocabulary: int = 2**31, side: str | None = None) -> np.ndarray:
    """Returns ids as an array `[N]` of whole numbers, after checking them.

    Args:
        what: names the ids in messages.
        ids: what the caller gave.
        vocabulary: number of ids that there are.
        side: "source" or "target": whose vocabulary it is, for messages.

    Raises:
        ValueError: something else than a flat list of whole numbers, or an id outside the
            vocabulary.

    Example:
        >>> flat_ids("source 0", [5, 9, 2])
        array([5, 9, 2])
    """
    try:
        values = np.asarray(ids)
    except (TypeError, ValueError):  # rows of several lengths
        values = np.empty((0, 0))
    if values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
        shown = repr(ids)
        raise ValueError(
            f"{what} is {shown if len(shown) <= 80 else shown[:77] + '...'}, of shape "
            f"{values.shape} and dtype {values.dtype}, expected a flat list of integer ids"
        )
    if values.size and not 0 <= values.min() <= values.max() < vocabulary:
        if side is None:
            raise ValueError(
                f"{what} holds {values.min()}..{values.max()}, expected ids of 0 or more"
            )
        wrong = values[(values < 0) | (values >= vocabulary)][0]
        raise ValueError(
            f"{what} holds the id {wrong}, but the {side} vocabulary has ids 0 to {vocabulary - 1}"
        )
    return values
