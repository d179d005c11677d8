"""The sources of a call of `Generator`, and what `Loop.start` takes of a batch of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keras_s2s.decoding.padded_inputs import PaddedInputs
from keras_s2s.decoding.seeds import row_seeds
from keras_s2s.samplers.phrases import Constraints, phrase_arrays
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.sampler import Sampler


@dataclass(frozen=True)
class Job:
    """The sources of a call of `Generator`, with every default filled in.

    Attributes:
        sources: ids of each source, or an array where sources are no ids.
        sampler: the strategy.
        plan: special ids, number of steps and rules.
        seeds: int32 `[B]`, one for each source.
        prefixes: ids that each source's sequences begin with; None where none has any.
        limits: most ids of each source's sequences, its prefix counted.
        places: numbers of the sources among the caller's; None means 0, 1, ...
        phrases: what their results must have, the fields of `Phrases` as arrays; empty where the
            strategy reads none.
        candidates: the ids that each source's results may have; None where all.
    """

    sources: Sequence[Any]
    sampler: Sampler
    plan: Plan
    seeds: np.ndarray
    prefixes: Sequence[Sequence[int]] | None
    limits: Sequence[int]
    places: Sequence[int] | None
    phrases: Mapping[str, np.ndarray]
    candidates: Sequence[np.ndarray] | None = None

    @classmethod
    def of(
        cls,
        sources: Sequence[Any],
        sampler: Sampler,
        plan: Plan,
        seed: int | Sequence[int] | None,
        prefixes: Sequence[Sequence[int]] | None,
        limits: Sequence[int] | None,
        seeds: np.ndarray | None,
        places: Sequence[int] | None,
        constraints: Sequence[Constraints] | None = None,
        candidates: Sequence[np.ndarray] | None = None,
    ) -> Job:
        """Makes a job from the arguments of `Generator.generate`."""
        return cls(
            sources,
            sampler,
            replace(with_prefixes(plan, prefixes), shortlisted=candidates is not None),
            row_seeds(seed, len(sources)) if seeds is None else seeds,
            prefixes,
            [plan.steps] * len(sources) if limits is None else limits,
            places,
            phrase_arrays(constraints or [[]] * len(sources)) if sampler.reads_phrases else {},
            candidates,
        )

    def inputs(self, padded: PaddedInputs, chunk: Sequence[int]) -> dict[str, np.ndarray]:
        """Returns what `Loop.start` takes, for the sources at the places `chunk`."""
        inputs = padded.generation(
            self.sources, chunk, self.seeds, self.prefixes, self.limits, self.phrases
        )
        if self.candidates is not None:
            allowed = np.zeros((len(inputs["places"]), padded.network.vocabulary_size), bool)
            for row, place in zip(allowed, inputs["places"], strict=True):
                row[self.candidates[place]] = True
            inputs["allowed"] = allowed
        if self.places is not None:
            inputs["places"] = np.asarray(self.places, "int32")[inputs["places"]]
        return inputs


def with_prefixes(plan: Plan, prefixes: Sequence[Sequence[int]] | None) -> Plan:
    """Returns `plan`, marked if some source has a prefix."""
    return replace(plan, prefixed=prefixes is not None and any(map(len, prefixes)))
