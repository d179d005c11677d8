"""Base class of drivers, which run the decoding loop on a backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_s2s.decoding.loop import Loop
from keras_s2s.layers.kernels.operations import Kernels
from keras_s2s.samplers.sampler import Result
from keras_s2s.typing import Tree


class Segment(NamedTuple):
    """The result of some steps.

    Attributes:
        changing: the tree that the steps have changed.
        next_index: the number of the next step.
        finished: bool `[B]`, a NumPy array: which sources are done, or cannot go on.
        finite: bool `[B]`, a NumPy array: of which all logits were finite.
    """

    changing: Any
    next_index: int
    finished: np.ndarray
    finite: np.ndarray


class Driver(ABC):
    """Base class of drivers: runs the parts of a loop on trees of the backend's tensors."""

    #: steps between two looks at what has finished: few let sources leave and join sooner, many
    #: ask the host less often.
    segment_steps = 16

    def __init__(self, loop: Loop, variables: list[Any], prepared: Kernels) -> None:
        self.loop = loop
        self.variables = variables
        self.prepared = prepared
        #: is told what is compiled, before it is.
        self.on_compile: Callable[[str], None] = lambda text: None

    @property
    def compilations(self) -> int:
        """Programs compiled or traced so far."""
        return 0

    def rows_worth_keeping(self, live: int, size: int) -> int:
        """Returns how many of `size` rows to keep for `live` sources that are not done."""
        # A copy of the state costs about as much as a step; dropping few rows saves less.
        return live if live <= 0.75 * size else size

    def rows_when_joined(self, live: int, size: int) -> int:
        """Returns the number of rows of a batch that is joined from `live` sources; the rest are
        fillers. The larger of the two batches had `size` rows.
        """
        return live

    def capacity_for(self, steps: int, limit: int) -> int:
        """Returns the capacity to allocate where `steps` are wanted and no source takes more than
        `limit`.
        """
        return min(steps, limit)

    @abstractmethod
    def start(self, inputs: Mapping[str, np.ndarray], capacity: int) -> tuple[Tree, Tree]: ...

    def candidates_for(self, wanted: int) -> int:
        """Returns the number of candidates of a batch of which `wanted` ids are wanted."""
        return wanted

    def candidates(self, fixed: Tree) -> Tree:
        """Returns the candidates of a batch, to be passed to `segment` until its sources change; ()
        where the plan has no shortlist.
        """
        if not self.loop.plan.shortlisted:
            return ()
        allowed = ops.any(fixed[0].allowed, axis=0)
        wanted = int(np.asarray(ops.convert_to_numpy(allowed)).sum())
        size = max(self.candidates_for(wanted), self.loop.fewest_candidates or 1)
        return self._candidates(fixed, min(size, allowed.shape[0]))

    @abstractmethod
    def _candidates(self, fixed: Tree, size: int) -> Tree:
        """Runs `Loop.candidates`."""

    @abstractmethod
    def segment(
        self, fixed: Tree, changing: Tree, begin: int, end: int, candidates: Tree = ()
    ) -> Segment:
        """Runs the steps `begin` to `end`, fewer if every source is done before.

        Args:
            fixed, changing: of the batch.
            begin, end: numbers of steps.
            candidates: what `candidates` returned.

        Returns:
            what has changed, and which sources are done.
        """

    @abstractmethod
    def select(self, fixed: Tree, changing: Tree, rows: np.ndarray) -> tuple[Tree, Tree]: ...

    @abstractmethod
    def join(self, first: Tree, second: Tree, rows: np.ndarray) -> tuple[Tree, Tree]: ...

    @abstractmethod
    def grow(self, fixed: Tree, changing: Tree, capacity: int) -> Tree: ...

    @abstractmethod
    def finish(self, changing: Tree) -> Result:
        """Returns the results so far, as NumPy arrays."""


def to_numpy(result: Result) -> Result:
    """Returns a tree of tensors as NumPy arrays."""
    return Result(*[np.asarray(ops.convert_to_numpy(part)) for part in result])
