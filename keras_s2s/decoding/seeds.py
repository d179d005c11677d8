"""Makes a seed for each source from what a caller passed as `seed`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def row_seeds(seed: int | Sequence[int] | None, count: int) -> np.ndarray:
    """Returns a seed for each of `count` sources: int32 `[B]`.

    From a single seed, source i gets the i-th derived seed; from a list, each source gets the first
    derived from its own. So a source has the same draws alone with seed s as in a batch with s in
    its place.

    Raises:
        ValueError: something else than a whole number, or one for each source.
    """
    if seed is None:
        return np.random.default_rng().integers(-(2**31), 2**31, count).astype(np.int32)
    message = f"seed={seed!r} must be a whole number, or one for each source"
    if isinstance(seed, bool | str):
        raise ValueError(message)
    if isinstance(seed, int | np.integer):
        pairs = [(int(seed), i) for i in range(count)]
    elif isinstance(seed, Sequence | np.ndarray):
        if not all(isinstance(s, int | np.integer) and not isinstance(s, bool) for s in seed):
            raise ValueError(message)
        if len(seed) != count:
            raise ValueError(f"seed holds {len(seed)} seeds for {count} sources; give one for each")
        pairs = [(int(s), 0) for s in seed]
    else:
        raise ValueError(message)
    words = [np.random.SeedSequence([s % 2**64, i]).generate_state(1)[0] for s, i in pairs]
    return np.asarray(words, np.uint32).astype(np.int32)
