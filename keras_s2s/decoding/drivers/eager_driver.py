"""Runs the decoding loop on PyTorch, step by step in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from keras import ops

from keras_s2s.decoding.drivers.driver import Driver, Segment, to_numpy
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.samplers.sampler import Result
from keras_s2s.typing import Tree


class EagerDriver(Driver):
    """The driver of PyTorch, which repeats steps in Python."""

    segment_steps = 4

    def _eagerly(self, function: Callable[..., Any], *arguments: Any) -> Tree:
        with self._mode(), kernels.use(self.prepared):
            return function(*arguments)

    def _mode(self) -> Any:
        """Returns the context in which gradients are not prepared for."""
        import torch

        return torch.inference_mode()

    def start(self, inputs: Mapping[str, np.ndarray], capacity: int) -> tuple[Tree, Tree]:
        tensors = {name: ops.convert_to_tensor(value) for name, value in inputs.items()}
        return self._eagerly(self.loop.start, tensors, capacity)

    def _candidates(self, fixed: Tree, size: int) -> Tree:
        return self._eagerly(self.loop.candidates, fixed, size)

    def segment(
        self, fixed: Tree, changing: Tree, begin: int, end: int, candidates: Tree = ()
    ) -> Segment:
        def steps(changing: Tree) -> Segment:
            for index in range(begin, end):
                changing = self.loop.advance(fixed, changing, index, candidates)
                finished = self.loop.finished(changing)
                # A look at the CPU's memory is free; at a GPU's it would stall every step.
                looks = finished.device.type == "cpu" or self.loop.looks_for_room
                if looks and bool(self.loop.rests(changing, finished)):
                    break
            finite = self.loop.finite(changing)
            return Segment(changing, index + 1, *map(ops.convert_to_numpy, (finished, finite)))

        return self._eagerly(steps, changing)

    def select(self, fixed: Tree, changing: Tree, rows: np.ndarray) -> tuple[Tree, Tree]:
        return self._eagerly(self.loop.select, fixed, changing, ops.convert_to_tensor(rows))

    def join(self, first: Tree, second: Tree, rows: np.ndarray) -> tuple[Tree, Tree]:
        return self._eagerly(self.loop.join, first, second, ops.convert_to_tensor(rows))

    def grow(self, fixed: Tree, changing: Tree, capacity: int) -> Tree:
        return self._eagerly(self.loop.grow, fixed, changing, capacity)

    def finish(self, changing: Tree) -> Result:
        return to_numpy(self._eagerly(self.loop.finish, changing))
