"""Mixes the data sets of several tasks, each with a prefix and a share [Raffel 2020, 3.5.2]."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence

from keras_s2s.config import ConfigError, TaskConfig

logger = logging.getLogger(__name__)

Pairs = list[tuple[str, str]]


def with_prefix(pairs: Sequence[tuple[str, str]], prefix: str) -> Pairs:
    """Returns pairs whose sources begin with a prefix."""
    return [(prefix + source, target) for source, target in pairs]


def mixed(
    pairs: Mapping[str, Pairs], tasks: Mapping[str, TaskConfig], size: int | None, seed: int
) -> Pairs:
    """Returns training pairs of all tasks, in the shares that they ask for.

    A task that is larger than its share gives a part of its pairs, drawn by `seed`; one that is
    smaller gives all of them as often as needed, and a part once more.

    Args:
        pairs: of each task, by its name.
        tasks: their settings. Without shares each task has that of its size.
        size: of the result; None takes the sum of all.
        seed: of the draws.

    Raises:
        ConfigError: a task would have no pair at all.
    """
    total = sum(map(len, pairs.values())) if size is None else size
    weights = {
        name: float(len(pairs[name])) if task.share is None else task.share
        for name, task in tasks.items()
    }
    whole = sum(weights.values())
    found: Pairs = []
    for name, own in pairs.items():
        count = round(total * weights[name] / whole)
        if not count:
            raise ConfigError(
                f"data.tasks.{name}.share: {weights[name]:g} of {whole:g} is not one of {total} "
                "pairs; give it a larger share, or set a larger data.train_size"
            )
        times, rest = divmod(count, len(own))
        # A string seeds alike in every process.
        found += own * times + random.Random(f"{seed} {name}").sample(own, rest)
        logger.info(
            "task %s: %s pairs, of which an epoch reads %s", name, f"{len(own):,}", f"{count:,}"
        )
    return found


def pairs_by_task(pairs: Pairs, tasks: Mapping[str, TaskConfig]) -> dict[str, list[int]]:
    """Returns the places of each task's pairs, which their prefixes tell."""
    places: dict[str, list[int]] = {name: [] for name in tasks}
    for place, (source, _) in enumerate(pairs):
        for name, task in tasks.items():
            if source.startswith(task.prefix):
                places[name].append(place)
    return places
