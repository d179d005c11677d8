"""Runs the decoding loop on TensorFlow: as graphs of segments, or as one graph for export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_s2s.decoding.drivers.driver import Driver, Segment, to_numpy
from keras_s2s.decoding.loop import Loop
from keras_s2s.layers.contracts import Frontend
from keras_s2s.layers.kernels import operations as kernels
from keras_s2s.layers.kernels.transposed_table import TransposedTable
from keras_s2s.samplers.phrases import Phrases
from keras_s2s.samplers.sampler import Result
from keras_s2s.typing import Tensor, Tree


class TensorFlowDriver(Driver):
    """The driver of TensorFlow: graphs traced once, with unknown rows, source length and
    capacity.
    """

    segment_steps = 8

    prepared: TransposedTable

    def __init__(self, loop: Loop, variables: list[Any], prepared: TransposedTable) -> None:
        super().__init__(loop, variables, prepared)
        import tensorflow as tf

        scalar, rows = tf.TensorSpec([], tf.int32), tf.TensorSpec([None], tf.int32)
        inputs = input_specs(loop.moves.frontend)
        if loop.sampler.reads_phrases:
            inputs.update(_phrase_specs())
        if loop.plan.shortlisted:
            inputs["allowed"] = tf.TensorSpec([None, loop.moves.vocabulary_size], tf.bool)
        self._start = Graph(loop.start, inputs, scalar)

        def specs(graph: Graph) -> Any:
            """The shapes of a graph's results, with None where a size may change."""
            return tf.nest.map_structure(
                lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype), graph.outputs
            )

        fixed, changing = specs(self._start)
        self._collect = Graph(loop.candidates, fixed, scalar)
        candidates = specs(self._collect) if loop.plan.shortlisted else ()
        self._segment = Graph(self._steps, fixed, changing, scalar, scalar, candidates)
        self._select = Graph(loop.select, fixed, changing, rows)
        whole = (fixed, changing)
        self._join = Graph(loop.join, whole, whole, rows)
        self._grow = Graph(loop.grow, fixed, changing, scalar)
        self._finish = Graph(loop.finish, changing)

    def _steps(
        self, fixed: Tree, changing: Tree, begin: Any, end: Any, candidates: Tree = ()
    ) -> Tree:
        with kernels.use(self.prepared.holding(self.prepared.tensor)):
            return tensorflow_segment(self.loop, fixed, changing, begin, end, candidates)

    @property
    def compilations(self) -> int:
        graphs = (self._start, self._collect, self._segment, self._select, self._join)
        return sum(graph.traced for graph in (*graphs, self._grow, self._finish))

    def _candidates(self, fixed: Tree, size: int) -> Tree:
        return self._collect(fixed, ops.convert_to_tensor(size, "int32"))

    def start(self, inputs: Mapping[str, np.ndarray], capacity: int) -> tuple[Tree, Tree]:
        tensors = {name: ops.convert_to_tensor(value) for name, value in inputs.items()}
        return self._start(tensors, ops.convert_to_tensor(capacity, "int32"))

    def segment(
        self, fixed: Tree, changing: Tree, begin: int, end: int, candidates: Tree = ()
    ) -> Segment:
        limits = [ops.convert_to_tensor(limit, "int32") for limit in (begin, end)]
        changing, index, finished, finite = self._segment(fixed, changing, *limits, candidates)
        return Segment(changing, int(index), finished.numpy(), finite.numpy())

    def select(self, fixed: Tree, changing: Tree, rows: np.ndarray) -> tuple[Tree, Tree]:
        return self._select(fixed, changing, ops.convert_to_tensor(rows))

    def join(self, first: Tree, second: Tree, rows: np.ndarray) -> tuple[Tree, Tree]:
        return self._join(first, second, ops.convert_to_tensor(rows))

    def grow(self, fixed: Tree, changing: Tree, capacity: int) -> Tree:
        return self._grow(fixed, changing, ops.convert_to_tensor(capacity, "int32"))

    def finish(self, changing: Tree) -> Result:
        return to_numpy(self._finish(changing))


class Graph:
    """A TensorFlow graph of a function, traced when it is first needed.

    Args:
        function: takes trees of tensors.
        *signature: their `tf.TensorSpec`s.
    """

    def __init__(self, function: Callable[..., Any], *signature: Any) -> None:
        self._function = function
        self._signature = signature
        self._graph: Any = None

    @property
    def traced(self) -> bool:
        return self._graph is not None

    @property
    def graph(self) -> Any:
        if self._graph is None:
            import tensorflow as tf

            function = tf.function(self._function, input_signature=self._signature, autograph=False)
            self._graph = function.get_concrete_function()
        return self._graph

    @property
    def outputs(self) -> Any:
        """The symbolic results, with their shapes."""
        return self.graph.structured_outputs

    def __call__(self, *arguments: Any) -> Tree:
        return self.graph(*arguments)


def source_specs(frontend: Frontend) -> dict[str, Any]:
    """Returns TensorFlow's specifications of a frontend's inputs, with unknown batch and length."""
    import tensorflow as tf

    return {
        name: tf.TensorSpec([None, *shape], dtype, name=name)
        for name, (dtype, shape) in frontend.specs.items()
    }


def input_specs(frontend: Frontend) -> dict[str, Any]:
    """Returns TensorFlow's specifications of the inputs of `Loop.start`."""
    import tensorflow as tf

    rows = tf.TensorSpec([None], tf.int32)
    return {
        **source_specs(frontend),
        "places": rows,
        "seeds": rows,
        "prefix": tf.TensorSpec([None, None], tf.int32),
        "prefix_lengths": rows,
        "limits": rows,
    }


def _phrase_specs() -> dict[str, Any]:
    import tensorflow as tf

    kinds = ((3, tf.int32), (2, tf.int32), (2, tf.int32), (4, tf.bool))
    return {
        name: tf.TensorSpec([None] * rank, dtype)
        for name, (rank, dtype) in zip(Phrases._fields, kinds, strict=True)
    }


def tensorflow_segment(
    loop: Loop, fixed: Tree, changing: Tree, begin: Any, end: Any, candidates: Tree = ()
) -> Tree:
    """Runs the steps `begin` to `end` as TensorFlow ops; see `Driver.segment`."""
    import tensorflow as tf

    def unfinished(index: Tensor, changing: Tree) -> Tensor:
        return tf.logical_and(index < end, tf.logical_not(loop.rests(changing)))

    def body(index: Tensor, changing: Tree) -> Tree:
        new = loop.advance(fixed, changing, index, candidates)
        # A loop's variables keep one static shape; inference may know more, or less, inside.
        new = tf.nest.map_structure(
            lambda after, before: tf.ensure_shape(tf.cast(after, before.dtype), before.shape),
            new,
            changing,
        )
        return index + 1, new

    index, changing = tf.while_loop(unfinished, body, (begin, changing))
    return changing, index, loop.finished(changing), loop.finite(changing)


class GraphResult(NamedTuple):
    """What `tensorflow_graph` found.

    Attributes:
        token_ids: int32 `[B, N, C]`, C the capacity at the end of the search.
        lengths, scores: int32 and float32 `[B, N]`.
        finite: bool `[B]`, whether all logits of a source were finite.
    """

    token_ids: Any
    lengths: Any
    scores: Any
    finite: Any


def tensorflow_graph(
    loop: Loop, inputs: Mapping[str, Any], first_capacity: int = 64, *, grows: bool = True
) -> GraphResult:
    """Generates in TensorFlow ops alone, for an exported graph.

    It is a loop of segments around the loop of steps: the capacity doubles from one segment to the
    next, so that the cost of a step follows the length so far, not the maximum length.

    Args:
        inputs: those of `Loop.start`; no source's limit is above the plan's.
        first_capacity: of the first segment.
        grows: False takes the whole capacity at once, since XLA compiles no size that changes;
            the ids are then as long as it is.
    """
    import tensorflow as tf

    most = loop.plan.steps + loop.sampler.lookahead
    steps = tf.constant(most)
    if grows:
        changing = _in_growing_segments(loop, inputs, steps, min(first_capacity, most))
    else:
        fixed, changing = loop.start(inputs, most)
        changing, _, _, _ = tensorflow_segment(loop, fixed, changing, tf.constant(0), steps)
    result, copies = loop.finish(changing), loop.sampler.copies
    finite = tf.reduce_all(tf.reshape(loop.finite(changing), [-1, copies]), axis=1)
    # [B * copies, N, ...] -> [B, copies * N, ...]
    ids, lengths, scores = [
        ops.reshape(part, (-1, copies * part.shape[1], *ops.shape(part)[2:]))
        for part in (result.token_ids, result.lengths, result.scores)
    ]
    return GraphResult(ids, lengths, scores, finite)


def _in_growing_segments(
    loop: Loop, inputs: Mapping[str, Any], steps: Any, first_capacity: int
) -> Tree:
    """Returns the changing tree after all steps; see `tensorflow_graph`."""
    import tensorflow as tf

    # Unknown to the tracer, so that every size that follows from it may change.
    first = tf.raw_ops.PlaceholderWithDefault(input=first_capacity, shape=[])
    fixed, changing = loop.start(inputs, first)

    def unfinished(index: Tensor, capacity: Tensor, changing: Tree) -> Tensor:
        done = tf.reduce_all(loop.finished(changing))
        return tf.logical_and(index < steps, tf.logical_not(done))

    def body(index: Tensor, capacity: Tensor, changing: Tree) -> Tree:
        grown = tf.minimum(2 * capacity, steps)
        capacity, changing = tf.cond(
            index < capacity,
            lambda: (capacity, changing),
            lambda: (grown, loop.grow(fixed, changing, grown)),
        )
        changing, index, _, _ = tensorflow_segment(loop, fixed, changing, index, capacity)
        return index, capacity, changing

    shapes = tf.nest.map_structure(lambda leaf: leaf.shape, changing)
    _, _, changing = tf.while_loop(
        unfinished,
        body,
        (tf.constant(0), first, changing),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([]), shapes),
    )
    return changing
