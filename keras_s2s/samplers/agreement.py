"""The ids that a beam search returns for sure: those that all its hypotheses share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def agreed(searches: Sequence[Mapping[str, Any]], index: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ids that the best hypothesis of each source has for sure.

    It goes on from a live hypothesis, or is the best finished one.

    Args:
        searches: the states of the beam searches of which the best hypothesis is taken, as NumPy
            arrays; leaves `[B, K, ...]`.
        index: ids of live hypotheses.

    Returns:
        `(ids int32 [B, C], lengths int32 [B])`; of sources that are done, all ids.
    """
    ids = searches[0]["live"]["token_ids"][:, 0].copy()
    lengths = np.zeros(len(ids), np.int32)
    for b in range(len(ids)):
        rows: list[np.ndarray] = []
        for search in searches:
            live, done = search["live"], search["done"]
            if not search["stopped"][b]:
                there = live["scores"][b] > -np.inf
                rows += list(live["token_ids"][b, there, :index])
            if done["ended"][b, 0]:
                rows.append(done["token_ids"][b, 0, : done["lengths"][b, 0]])
        if not rows:
            continue
        count = min(map(len, rows))
        same = np.all([row[:count] == rows[0][:count] for row in rows], axis=0)
        lengths[b] = count if same.all() else int(np.argmin(same))
        ids[b, : lengths[b]] = rows[0][: lengths[b]]
    return ids, lengths
