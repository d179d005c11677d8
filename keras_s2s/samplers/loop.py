"""The decoding loop, and one thin driver for each way of running it.

A generation is `start`, then segments of `advance`, then `finish`. Everything of it lies in two
trees: `fixed`, what stays (the sources and what the decoder computed from them once), and
`changing`, what each step replaces. Between two segments `segments.decode` may drop sources
that are done (`select`) and make room for more steps (`grow`); within a segment nothing but
steps happens. The drivers differ in who repeats the step: Python (PyTorch), `jax.jit` around a
`while_loop`, or a TensorFlow graph traced once with every size unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from keras_s2s.layers import kernels
from keras_s2s.layers.prepared_weights import PreparedWeights
from keras_s2s.layers.state import State
from keras_s2s.layers.transposed_table import TransposedTable
from keras_s2s.samplers.context import Sources
from keras_s2s.samplers.sampler import Plan, Result, Sampler


class Moves(Protocol):
    """What a sampler's loop needs of a network."""

    def encode(self, inputs: Mapping[str, Any]) -> Any: ...
    def init_state(self, memory: Any, capacity: Any) -> Any: ...
    def spread(self, state: Any, num_beams: int) -> Any: ...
    def step(self, tokens: Any, state: Any, index: Any, want_attention: bool = False) -> Any: ...
    def reorder(self, state: Any, parents: Any) -> Any: ...
    def select_rows(self, state: Any, rows: Any) -> Any: ...
    def grow(self, state: Any, capacity: Any) -> Any: ...


# --------------------------------------------------------------------------------------
# The loop's parts, shared by all drivers
# --------------------------------------------------------------------------------------


class Loop:
    """A network's moves and a strategy's, put together.

    Args:
        moves: the network.
        sampler: the strategy.
        plan: what is fixed before the generation starts.
    """

    def __init__(self, moves: Moves, sampler: Sampler, plan: Plan) -> None:
        self.moves = moves
        self.sampler = sampler
        self.plan = plan

    def start(self, inputs: Mapping[str, Any], capacity: Any) -> tuple[Any, Any]:
        """Encode the sources and set everything before the first step.

        Args:
            inputs: `encoder_token_ids` and `encoder_padding_mask` `[B, S]`; `rows`, `seeds` and
                `prefix_lengths` `[B]`; `prefix` `[B, P]`: see `Sources`.
            capacity: steps to make room for.

        Returns:
            `(fixed, changing)`: `(sources, state.source)` and `(search, tokens, state.beam)`.
        """
        sources = Sources(
            inputs["encoder_token_ids"],
            inputs["encoder_padding_mask"],
            *[inputs[name] for name in Sources._fields[2:]],
        )
        state = self.moves.init_state(self.moves.encode(inputs), capacity)
        width = self.sampler.width
        if width > 1:
            state = self.moves.spread(state, width)
        search = self.sampler.begin(sources, capacity, self.plan)
        batch = ops.shape(sources.rows)[0]
        tokens = ops.full((batch * width,), self.plan.decoder_start, dtype="int32")
        return (sources, state.source), (search, tokens, state.beam)

    def advance(self, fixed: Any, changing: Any, index: Any) -> Any:
        """One step: advance the network, let the sampler choose, reorder the histories."""
        (sources, source), (search, tokens, beam) = fixed, changing
        out = self.moves.step(tokens, State(source, beam), index)
        logits = ops.cast(out.logits, "float32")
        search, tokens, parents = self.sampler.advance(search, logits, index, self.plan, sources)
        state = out.state if parents is None else self.moves.reorder(out.state, parents)
        return search, tokens, state.beam

    def finished(self, changing: Any) -> Any:
        """Whether each source is done: bool `[B]`."""
        return self.sampler.finished(changing[0])

    def select(self, fixed: Any, changing: Any, rows: Any) -> tuple[Any, Any]:
        """Keep the sources `rows`, int32 `[B']`, and what belongs to them."""
        (sources, source), (search, tokens, beam) = fixed, changing
        state = self.moves.select_rows(State(source, beam), rows)

        def take(leaf: Any) -> Any:
            return ops.take(leaf, rows, axis=0)

        tokens = ops.reshape(take(ops.reshape(tokens, (-1, self.sampler.width))), (-1,))
        sources, search = (keras.tree.map_structure(take, tree) for tree in (sources, search))
        return (sources, state.source), (search, tokens, state.beam)

    def grow(self, fixed: Any, changing: Any, capacity: Any) -> Any:
        """Make room for `capacity` steps."""
        search, tokens, beam = changing
        state = self.moves.grow(State(fixed[1], beam), capacity)
        return self.sampler.grow(search, capacity, self.plan), tokens, state.beam

    def finish(self, changing: Any) -> Result:
        """What was found so far."""
        return self.sampler.finish(changing[0], self.plan)


def jax_compiled(
    function: Callable[..., Any],
    variables: list[Any],
    static: tuple[str, ...] = (),
    donated: tuple[int, ...] = (),
) -> Callable[..., Any]:
    """`function(*arguments)` under `jax.jit`; the variables' values are read at each call.

    Args:
        static: keyword arguments that are constants of the program.
        donated: arguments whose memory the result may use; they are gone afterwards.
    """
    import jax

    def stateless(weights: list[Any], *arguments: Any, **constants: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, weights, strict=True))):
            return function(*arguments, **constants)

    places = tuple(1 + place for place in donated)
    compiled = jax.jit(stateless, static_argnames=static, donate_argnums=places)

    def run(*arguments: Any, **constants: Any) -> Any:
        return compiled([v.value for v in variables], *arguments, **constants)

    run.programs = compiled._cache_size  # type: ignore[attr-defined]
    return run


# --------------------------------------------------------------------------------------
# Drivers
# --------------------------------------------------------------------------------------


class Driver:
    """Runs a loop's parts the way of one backend; trees of that backend's tensors in and out."""

    #: steps between two looks at what has finished.
    segment_steps = 16

    def __init__(self, loop: Loop, variables: list[Any], prepared: Any) -> None:
        self.loop = loop
        self.variables = variables
        self.prepared = prepared

    @property
    def compilations(self) -> int:
        """Programs compiled or traced so far."""
        return 0

    def rows_for(self, live: int, size: int) -> int:
        """Rows worth keeping for `live` sources that are not done, of `size` now."""
        # A copy of the state costs about as much as a step; dropping few rows saves less.
        return live if live <= 0.75 * size else size

    def start(self, inputs: Mapping[str, np.ndarray], capacity: int) -> tuple[Any, Any]:
        raise NotImplementedError

    def segment(self, fixed: Any, changing: Any, begin: int, end: int) -> tuple[Any, int, Any]:
        """Steps `begin` to `end`, fewer if every source is done before.

        Returns:
            `(changing, the number of the next step, finished bool [B] as a NumPy array)`.
        """
        raise NotImplementedError

    def select(self, fixed: Any, changing: Any, rows: np.ndarray) -> tuple[Any, Any]:
        raise NotImplementedError

    def grow(self, fixed: Any, changing: Any, capacity: int) -> Any:
        raise NotImplementedError

    def finish(self, changing: Any) -> Result:
        """What was found, as NumPy arrays."""
        raise NotImplementedError


class EagerDriver(Driver):
    """Python repeats the step (PyTorch)."""

    segment_steps = 8

    def _eagerly(self, function: Callable[..., Any], *arguments: Any) -> Any:
        import torch

        with torch.inference_mode(), kernels.use(self.prepared):
            return function(*arguments)

    def start(self, inputs: Mapping[str, np.ndarray], capacity: int) -> tuple[Any, Any]:
        tensors = {name: ops.convert_to_tensor(value) for name, value in inputs.items()}
        return self._eagerly(self.loop.start, tensors, capacity)

    def segment(self, fixed: Any, changing: Any, begin: int, end: int) -> tuple[Any, int, Any]:
        def steps(changing: Any) -> tuple[Any, int, Any]:
            for index in range(begin, end):
                changing = self.loop.advance(fixed, changing, index)
                finished = self.loop.finished(changing)
                # A look at the CPU's memory is free; at a GPU's it would stall every step.
                if finished.device.type == "cpu" and bool(finished.all()):
                    break
            return changing, index + 1, np.asarray(ops.convert_to_numpy(finished))

        return self._eagerly(steps, changing)

    def select(self, fixed: Any, changing: Any, rows: np.ndarray) -> tuple[Any, Any]:
        return self._eagerly(self.loop.select, fixed, changing, ops.convert_to_tensor(rows))

    def grow(self, fixed: Any, changing: Any, capacity: int) -> Any:
        return self._eagerly(self.loop.grow, fixed, changing, capacity)

    def finish(self, changing: Any) -> Result:
        return _to_numpy(self._eagerly(self.loop.finish, changing))


class JaxDriver(Driver):
    """Compiled programs, one for each size of the trees. Weights are arguments, so that
    training between two calls compiles nothing anew."""

    def __init__(self, loop: Loop, variables: list[Any], prepared: Any) -> None:
        super().__init__(loop, variables, prepared)
        constant = {"grow": ("capacity",), "start": ("capacity",)}
        self._programs: dict[str, Any] = {
            name: jax_compiled(
                function, variables, constant.get(name, ()), (1,) if name == "segment" else ()
            )
            for name, function in (
                ("start", loop.start),
                ("segment", self._segment),
                ("select", loop.select),
                ("grow", loop.grow),
                ("finish", loop.finish),
            )
        }

    @property
    def compilations(self) -> int:
        return sum(program.programs() for program in self._programs.values())

    def rows_for(self, live: int, size: int) -> int:
        # Halves, so that few sizes are compiled; below eight rows a step costs the same.
        kept = size
        while kept // 2 >= live and kept // 2 * self.loop.sampler.width >= 8:
            kept //= 2
        return kept

    def _segment(self, fixed: Any, changing: Any, begin: Any, end: Any, table: Any) -> Any:
        with kernels.use(self.prepared.holding(table)):
            return self._steps(fixed, changing, begin, end)

    def _steps(self, fixed: Any, changing: Any, begin: Any, end: Any) -> Any:
        import jax

        def unfinished(carry: Any) -> Any:
            index, changing = carry
            return (index < end) & ~ops.all(self.loop.finished(changing))

        def body(carry: Any) -> Any:
            index, changing = carry
            return index + 1, self.loop.advance(fixed, changing, index)

        index, changing = jax.lax.while_loop(unfinished, body, (begin, changing))
        return changing, index, self.loop.finished(changing)

    def start(self, inputs: Mapping[str, np.ndarray], capacity: int) -> tuple[Any, Any]:
        return self._programs["start"](dict(inputs), capacity=capacity)

    def segment(self, fixed: Any, changing: Any, begin: int, end: int) -> tuple[Any, int, Any]:
        limits = np.int32(begin), np.int32(end)
        changing, index, finished = self._programs["segment"](
            fixed, changing, *limits, self.prepared.tensor
        )
        return changing, int(index), np.asarray(finished)

    def select(self, fixed: Any, changing: Any, rows: np.ndarray) -> tuple[Any, Any]:
        return self._programs["select"](fixed, changing, rows)

    def grow(self, fixed: Any, changing: Any, capacity: int) -> Any:
        return self._programs["grow"](fixed, changing, capacity=capacity)

    def finish(self, changing: Any) -> Result:
        return _to_numpy(self._programs["finish"](changing))


class TensorFlowDriver(Driver):
    """Graphs traced once: rows, source length and capacity are unknown to them."""

    def __init__(self, loop: Loop, variables: list[Any], prepared: Any) -> None:
        super().__init__(loop, variables, prepared)
        import tensorflow as tf

        scalar, rows = tf.TensorSpec([], tf.int32), tf.TensorSpec([None], tf.int32)
        self._start = Graph(loop.start, input_specs(), scalar)
        # The trees' shapes, with None where a size may change.
        fixed, changing = tf.nest.map_structure(
            lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype), self._start.outputs
        )
        self._segment = Graph(self._steps, fixed, changing, scalar, scalar)
        self._select = Graph(loop.select, fixed, changing, rows)
        self._grow = Graph(loop.grow, fixed, changing, scalar)
        self._finish = Graph(loop.finish, changing)

    def _steps(self, fixed: Any, changing: Any, begin: Any, end: Any) -> Any:
        with kernels.use(self.prepared.holding(self.prepared.tensor)):
            return tensorflow_segment(self.loop, fixed, changing, begin, end)

    @property
    def compilations(self) -> int:
        graphs = (self._start, self._segment, self._select, self._grow, self._finish)
        return sum(graph.traced for graph in graphs)

    def start(self, inputs: Mapping[str, np.ndarray], capacity: int) -> tuple[Any, Any]:
        tensors = {name: ops.convert_to_tensor(value) for name, value in inputs.items()}
        return self._start(tensors, ops.convert_to_tensor(capacity, "int32"))

    def segment(self, fixed: Any, changing: Any, begin: int, end: int) -> tuple[Any, int, Any]:
        limits = [ops.convert_to_tensor(limit, "int32") for limit in (begin, end)]
        changing, index, finished = self._segment(fixed, changing, *limits)
        return changing, int(index), finished.numpy()

    def select(self, fixed: Any, changing: Any, rows: np.ndarray) -> tuple[Any, Any]:
        return self._select(fixed, changing, ops.convert_to_tensor(rows))

    def grow(self, fixed: Any, changing: Any, capacity: int) -> Any:
        return self._grow(fixed, changing, ops.convert_to_tensor(capacity, "int32"))

    def finish(self, changing: Any) -> Result:
        return _to_numpy(self._finish(changing))


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
        """The symbolic results, which know their shapes."""
        return self.graph.structured_outputs

    def __call__(self, *arguments: Any) -> Any:
        return self.graph(*arguments)


def input_specs() -> dict[str, Any]:
    """TensorFlow's description of the inputs of `Loop.start`."""
    import tensorflow as tf

    rows = tf.TensorSpec([None], tf.int32)
    return {
        "encoder_token_ids": tf.TensorSpec([None, None], tf.int32),
        "encoder_padding_mask": tf.TensorSpec([None, None], tf.bool),
        "rows": rows,
        "seeds": rows,
        "prefix": tf.TensorSpec([None, None], tf.int32),
        "prefix_lengths": rows,
    }


def tensorflow_segment(loop: Loop, fixed: Any, changing: Any, begin: Any, end: Any) -> Any:
    """Steps `begin` to `end` as TensorFlow ops; see `Driver.segment`."""
    import tensorflow as tf

    def unfinished(index: Any, changing: Any) -> Any:
        return tf.logical_and(index < end, tf.logical_not(tf.reduce_all(loop.finished(changing))))

    def body(index: Any, changing: Any) -> Any:
        new = loop.advance(fixed, changing, index)
        # A loop's variables keep one static shape; inference may know more, or less, inside.
        new = tf.nest.map_structure(
            lambda after, before: tf.ensure_shape(tf.cast(after, before.dtype), before.shape),
            new,
            changing,
        )
        return index + 1, new

    index, changing = tf.while_loop(unfinished, body, (begin, changing))
    return changing, index, loop.finished(changing)


def tensorflow_graph(loop: Loop, inputs: Mapping[str, Any], first_capacity: int = 64) -> Result:
    """A whole generation as TensorFlow ops, for an exported graph.

    A loop of segments around the loop of steps: the capacity doubles from one to the next, so
    that a step costs what the sequences need so far, not what they may reach.
    """
    import tensorflow as tf

    steps = tf.constant(loop.plan.steps)
    # Unknown to the tracer, so that every size that follows from it may change.
    first = tf.raw_ops.PlaceholderWithDefault(input=min(first_capacity, loop.plan.steps), shape=[])
    fixed, changing = loop.start(inputs, first)

    def unfinished(index: Any, capacity: Any, changing: Any) -> Any:
        done = tf.reduce_all(loop.finished(changing))
        return tf.logical_and(index < steps, tf.logical_not(done))

    def body(index: Any, capacity: Any, changing: Any) -> Any:
        grown = tf.minimum(2 * capacity, steps)
        capacity, changing = tf.cond(
            index < capacity,
            lambda: (capacity, changing),
            lambda: (grown, loop.grow(fixed, changing, grown)),
        )
        changing, index, _ = tensorflow_segment(loop, fixed, changing, index, capacity)
        return index, capacity, changing

    shapes = tf.nest.map_structure(lambda leaf: leaf.shape, changing)
    _, _, changing = tf.while_loop(
        unfinished,
        body,
        (tf.constant(0), first, changing),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([]), shapes),
    )
    return loop.finish(changing)


def _to_numpy(result: Result) -> Result:
    return Result(*[np.asarray(ops.convert_to_numpy(part)) for part in result])


DRIVERS: dict[str, type[Driver]] = {
    "torch": EagerDriver,
    "jax": JaxDriver,
    "tensorflow": TensorFlowDriver,
}


def make_kernels(moves: Moves) -> Any:
    """The weights of a network as the running backend decodes best with them."""
    if keras.backend.backend() == "torch":
        return PreparedWeights()
    return TransposedTable(getattr(moves, "tied_table", None))


def make_driver(
    moves: Moves, sampler: Sampler, plan: Plan, variables: list[Any], prepared: Any = None
) -> Driver:
    """The driver of the running backend.

    Args:
        variables: every variable of the network.
        prepared: what `make_kernels` made, to be shared by the drivers of a network.
    """
    loop = Loop(moves, sampler, plan)
    driver = DRIVERS[keras.backend.backend()]
    return driver(loop, variables, prepared if prepared is not None else make_kernels(moves))
