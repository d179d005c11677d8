"""What every strategy shares: the plan of one generation, and the interface of a sampler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from keras import ops

from keras_s2s.samplers.processors import LogitsProcessor


@dataclass(frozen=True)
class Plan:
    """What is fixed before a generation starts; compiled functions are kept by it.

    Attributes:
        decoder_start, eos, pad: the target's special ids.
        steps: most ids to generate; `max_length - 1`, since `max_length` counts the start.
        processors: applied to each step's log-probabilities, in order.
    """

    decoder_start: int
    eos: int
    pad: int
    steps: int
    processors: tuple[LogitsProcessor, ...] = ()


class Advance(NamedTuple):
    """What a sampler decides at one step.

    Attributes:
        search: its own state after the step.
        tokens: int32 `[R]`, the next decoder inputs.
        parents: int32 `[R]`, the row whose history each row continues; None where every row
            continues its own.
    """

    search: Any
    tokens: Any
    parents: Any


class Result(NamedTuple):
    """Finished hypotheses, best first.

    Attributes:
        token_ids: int32 `[B, N, steps]`, EOS included, then PAD.
        lengths: int32 `[B, N]`, EOS counted, PAD not.
        scores: float32 `[B, N]`.
        token_log_probs: float32 `[B, N, steps]`, the model's own, zero after EOS.
    """

    token_ids: Any
    lengths: Any
    scores: Any
    token_log_probs: Any


class Sampler:
    """A strategy: chooses the next ids from log-probabilities. It never sees a model.

    A subclass is immutable and hashable by its settings (`key`), keeps everything that changes
    in the `search` tree it hands out, and uses `keras.ops` only, so that one piece of code runs
    eagerly, inside `jax.jit` and inside a TensorFlow graph.
    """

    #: rows of each source while searching.
    num_beams: int = 1
    #: hypotheses returned for each source.
    num_return_sequences: int = 1

    def key(self) -> tuple[Any, ...]:
        """Everything that changes the computation; equal keys may share a compiled function."""
        return (type(self).__name__, *sorted(vars(self).items()))

    def begin(self, batch: Any, plan: Plan, seeds: Any = None) -> Any:
        """The search state before the first step.

        Args:
            batch: number of sources, an int or a scalar tensor.
            plan: the generation's plan.
            seeds: int32 `[B]`, for samplers that draw.
        """
        raise NotImplementedError

    def advance(self, search: Any, logits: Any, index: Any, plan: Plan) -> Advance:
        """Take one step.

        Args:
            search: the search state.
            logits: float32 `[R, V]`.
            index: number of the step, counted from 0.
            plan: the generation's plan.
        """
        raise NotImplementedError

    def finished(self, search: Any) -> Any:
        """Whether each source is done: bool `[B]`."""
        raise NotImplementedError

    def finish(self, search: Any, plan: Plan) -> Result:
        """The hypotheses that were found."""
        raise NotImplementedError


def log_softmax(logits: Any) -> Any:
    """Log-probabilities `[R, V]` in float32."""
    logits = ops.cast(logits, "float32")
    return logits - ops.logsumexp(logits, axis=-1, keepdims=True)


def process(log_probs: Any, tokens: Any, index: Any, plan: Plan) -> Any:
    """Log-probabilities after every processor of the plan."""
    for processor in plan.processors:
        log_probs = processor(log_probs, tokens, index, plan)
    return log_probs


def put(buffer: Any, value: Any, index: Any) -> Any:
    """`buffer [..., steps]` with `value [...]` at position `index` of its last axis."""
    positions = ops.arange(buffer.shape[-1], dtype="int32")
    here = ops.equal(positions, ops.cast(index, "int32"))
    return ops.where(here, ops.cast(value, buffer.dtype)[..., None], buffer)


def pick(values: Any, ids: Any) -> Any:
    """`values [R, V]` at `ids [R, N]`; `[R, N]`."""
    return ops.take_along_axis(values, ids, axis=-1)
