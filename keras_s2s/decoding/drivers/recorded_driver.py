"""Runs the decoding loop on PyTorch by steps that are recorded once for each size of a batch.

Step by step in Python (`eager_driver.py`) a GPU waits for Python most of the time, and so does a
CPU with few rows. A recorded step (`recorded_step.py`) is repeated without the layers' Python code;
on an NVIDIA GPU as a CUDA graph, which one call launches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_s2s.decoding.drivers.driver import Segment
from keras_s2s.decoding.drivers.eager_driver import EagerDriver
from keras_s2s.decoding.drivers.few_sizes import FewSizes
from keras_s2s.decoding.drivers.recorded_step import RecordedStep
from keras_s2s.decoding.loop import Loop
from keras_s2s.layers.kernels.prepared_weights import PreparedWeights
from keras_s2s.typing import Tensor, Tree

#: Sizes whose recorded steps are kept; of more, the one used longest ago is dropped.
KEPT_STEPS = 32

#: Captures what a function does on the device, which it has to do each time in the same memory, and
#: returns a function that repeats it.
Capture = Callable[[Callable[[], None]], Callable[[], Any]]


class Repeated(NamedTuple):
    """What some steps have come to; see `Segment`."""

    changing: Sequence[Tensor]
    finished: Tensor
    next_index: int


class RecordedDriver(EagerDriver, FewSizes):
    """The driver of PyTorch that repeats recorded steps.

    Attributes:
        capture: None repeats a step operation by operation; otherwise the way to capture it.
    """

    def __init__(self, loop: Loop, variables: list[Any], prepared: PreparedWeights) -> None:
        super().__init__(loop, variables, prepared)
        self.capture = capture_for(variables)
        if self.capture is not None:
            self.segment_steps = 16  # the host waits for the GPU after so many
        self.prepared: PreparedWeights = prepared
        self._steps: dict[Any, ListedSteps | CapturedSteps] = {}
        self._recorded = 0
        self._weights: Any = None

    @property
    def compilations(self) -> int:
        return self._recorded

    def _mode(self) -> Any:
        import torch

        return torch.no_grad()  # tensors of `inference_mode` cannot be recorded

    def start(self, inputs: Mapping[str, np.ndarray], capacity: int) -> tuple[Tree, Tree]:
        self._drop_what_has_changed()
        return super().start(inputs, capacity)

    def segment(
        self, fixed: Tree, changing: Tree, begin: int, end: int, candidates: Tree = ()
    ) -> Segment:
        def steps() -> Segment:
            run = self._steps_for(fixed, changing, candidates)
            states, finished, index = run(fixed, changing, candidates, begin, end)
            after = run.step.tree(states)
            finite = self.loop.finite(after)
            return Segment(after, index, *map(ops.convert_to_numpy, (finished, finite)))

        return self._eagerly(steps)

    def _steps_for(self, fixed: Tree, changing: Tree, candidates: Tree) -> Any:
        """Returns the steps for the shapes of trees, recorded where they are new."""
        leaves = keras.tree.flatten((fixed, changing, candidates))
        key = tuple((tuple(leaf.shape), leaf.dtype) for leaf in leaves)
        run = self._steps.pop(key, None)
        if run is None:
            self._recorded += 1
            self.on_compile(f"recording step {self._recorded}")
            trees = fixed, changing, candidates
            step = RecordedStep(self.loop, self.prepared, *trees, self.variables)
            if self.capture is None:
                run = ListedSteps(step)
            else:
                run = CapturedSteps(step, *trees, self.capture)
        self._steps[key] = run  # as the newest
        while len(self._steps) > KEPT_STEPS:
            del self._steps[next(iter(self._steps))]
        return run

    def _drop_what_has_changed(self) -> None:
        """Drops recorded steps if a weight has been replaced, or one of which they have a copy has
        changed.
        """
        import torch

        tensors = [variable.value.detach() for variable in self.variables]
        places = [tensor.data_ptr() for tensor in tensors]
        packed = [tensor for tensor in tensors if tensor.device.type == "cpu"]
        copies = [torch.empty(0)]
        copies += [tensor.reshape(-1).float() for tensor in packed if tensor.ndim < 2]
        now = (places, self.prepared.changes, torch.cat(copies))
        before = self._weights
        if before is None or now[:2] != before[:2] or not torch.equal(now[2], before[2]):
            self._steps.clear()
            self._weights = now


class ListedSteps:
    """Repeats a recorded step operation by operation; on the CPU, where a look at what is done
    costs nothing.
    """

    def __init__(self, step: RecordedStep) -> None:
        self.step = step

    def __call__(
        self, fixed: Tree, changing: Tree, candidates: Tree, begin: int, end: int
    ) -> Repeated:
        import torch

        constant, states = keras.tree.flatten((fixed, candidates)), keras.tree.flatten(changing)
        for index in range(begin, end):
            number = torch.tensor(index, dtype=torch.int32, device=states[0].device)
            states, finished = self.step(number, constant, states)
            if finished.device.type == "cpu" and bool(finished.all()):
                break
        return Repeated(states, finished, index + 1)


class CapturedSteps:
    """Repeats a recorded step as it was captured, in memory of its own.

    Batches are copied in before a run of steps and out after it, since another batch of the same
    shapes may come between two.
    """

    def __init__(
        self, step: RecordedStep, fixed: Tree, changing: Tree, candidates: Tree, capture: Capture
    ) -> None:
        import torch

        self.step = step
        constant, states = keras.tree.flatten((fixed, candidates)), keras.tree.flatten(changing)
        self._constant = [leaf.clone() for leaf in constant]
        self._changing = [leaf.clone() for leaf in states]
        rows = fixed[0].places.shape[0]
        device = states[0].device
        self._finished = torch.zeros(rows, dtype=torch.bool, device=device)
        self._index = torch.zeros((), dtype=torch.int32, device=device)
        self._holds: Any = None
        self._repeat = capture(self._advance)

    def _advance(self) -> None:
        after, finished = self.step(self._index, self._constant, self._changing)
        ours = {buffer.data_ptr() for buffer in self._changing}
        # One that is another's memory would change while they are copied, one by one.
        after = [
            new.clone() if new is not buffer and new.data_ptr() in ours else new
            for buffer, new in zip(self._changing, after, strict=True)
        ]
        for buffer, new in zip((*self._changing, self._finished), (*after, finished), strict=True):
            if new is not buffer:
                buffer.copy_(new)
        self._index.add_(1)

    def __call__(
        self, fixed: Tree, changing: Tree, candidates: Tree, begin: int, end: int
    ) -> Repeated:
        given = (fixed, candidates)
        if self._holds is None or any(a is not b for a, b in zip(self._holds, given, strict=True)):
            self._holds = None  # until all is copied
            _copy(given, self._constant)
            self._holds = given
        _copy(changing, self._changing)
        self._index.fill_(begin)
        for _ in range(begin, end):
            self._repeat()
        return Repeated([buffer.clone() for buffer in self._changing], self._finished.clone(), end)


def _copy(tree: Tree, buffers: Sequence[Tensor]) -> None:
    for leaf, buffer in zip(keras.tree.flatten(tree), buffers, strict=True):
        buffer.copy_(leaf)


def capture_for(variables: Sequence[Any]) -> Capture | None:
    """Returns the way to capture steps where the variables are; None on a CPU, which has none."""
    if not any(variable.value.is_cuda for variable in variables[:1]):
        return None
    import torch

    # One pool for all: the graphs of a driver run one after the other, and keep nothing in it.
    return functools.partial(cuda_graph, pool=torch.cuda.graph_pool_handle())


def cuda_graph(function: Callable[[], None], pool: Any = None) -> Callable[[], Any]:
    """Captures what `function` does on the GPU as a CUDA graph, and returns its replay.

    It is run before, on a stream of its own, so that libraries allocate what they need outside of
    the graph (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).

    Args:
        function: does the same at each call, in memory that was allocated before.
        pool: of the memory that it takes besides, see `torch.cuda.graph_pool_handle`.
    """
    import torch

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads, which may serve other models, can go on using the GPU.
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        function()
    return graph.replay
