"""The decoding loop, and one thin driver for each way of running it.

`start`, `advance` and `finish` are the loop's three parts, shared by all. The drivers differ
in who repeats `advance`: Python (PyTorch), `jax.jit` around a `while_loop`, or a TensorFlow
graph traced once with unknown batch and length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from keras_s2s.layers.state import State
from keras_s2s.samplers.sampler import Plan, Result, Sampler


class Moves(Protocol):
    """What a sampler's loop needs of a network."""

    def encode(self, inputs: Mapping[str, Any]) -> Any: ...
    def init_state(self, memory: Any, capacity: int) -> Any: ...
    def step(self, tokens: Any, state: Any, index: Any, want_attention: bool = False) -> Any: ...
    def reorder(self, state: Any, parents: Any) -> Any: ...


def start(moves: Moves, sampler: Sampler, plan: Plan, inputs: Mapping[str, Any]) -> Any:
    """Encode the sources and set everything before the first step.

    Args:
        inputs: `encoder_token_ids [B, S]`, `encoder_padding_mask [B, S]`, `seeds [B]`.

    Returns:
        `(source, (search, tokens, beam))`: what stays, and what each step changes.
    """
    memory = moves.encode(inputs)
    state = moves.init_state(memory, plan.steps)
    batch = ops.shape(inputs["encoder_token_ids"])[0]
    if sampler.num_beams > 1:
        sources = ops.arange(batch, dtype="int32")
        rows = ops.broadcast_to(sources[:, None], (batch, sampler.num_beams))
        state = moves.reorder(state, ops.reshape(rows, (-1,)))
    search = sampler.begin(batch, plan, inputs["seeds"])
    tokens = ops.full((batch * sampler.num_beams,), plan.decoder_start, dtype="int32")
    return state.source, (search, tokens, state.beam)


def advance(
    moves: Moves, sampler: Sampler, plan: Plan, source: Any, index: Any, changing: Any
) -> Any:
    """One step: advance the network, let the sampler choose, reorder the histories."""
    search, tokens, beam = changing
    out = moves.step(tokens, State(source, beam), index)
    search, tokens, parents = sampler.advance(search, out.logits, index, plan)
    state = out.state if parents is None else moves.reorder(out.state, parents)
    return search, tokens, state.beam


def all_finished(sampler: Sampler, changing: Any) -> Any:
    """Scalar bool: whether every source is done."""
    return ops.all(sampler.finished(changing[0]))


def jax_compiled(function: Callable[[Any], Any], variables: list[Any]) -> Callable[[Any], Any]:
    """`function(inputs)` under `jax.jit`; the variables' values are read at each call."""
    import jax

    def stateless(weights: list[Any], inputs: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, weights, strict=True))):
            return function(inputs)

    compiled = jax.jit(stateless)
    return lambda inputs: compiled([v.value for v in variables], dict(inputs))


# --------------------------------------------------------------------------------------
# Drivers
# --------------------------------------------------------------------------------------

Run = Callable[[Mapping[str, Any]], Result]


def eager_driver(moves: Moves, sampler: Sampler, plan: Plan, variables: list[Any]) -> Run:
    """Python repeats the step (PyTorch)."""
    import torch

    def run(inputs: Mapping[str, Any]) -> Result:
        with torch.inference_mode():
            inputs = {name: ops.convert_to_tensor(value) for name, value in inputs.items()}
            source, changing = start(moves, sampler, plan, inputs)
            for index in range(plan.steps):
                changing = advance(moves, sampler, plan, source, index, changing)
                if bool(all_finished(sampler, changing)):
                    break
            return sampler.finish(changing[0], plan)

    return run


def jax_driver(moves: Moves, sampler: Sampler, plan: Plan, variables: list[Any]) -> Run:
    """One compiled function for each padded shape of the inputs.

    Weights are arguments, so that training between two calls compiles nothing anew.
    """
    import jax

    def generate(inputs: Mapping[str, Any]) -> Result:
        source, changing = start(moves, sampler, plan, inputs)

        def unfinished(carry: Any) -> Any:
            index, changing = carry
            return (index < plan.steps) & ~all_finished(sampler, changing)

        def body(carry: Any) -> Any:
            index, changing = carry
            return index + 1, advance(moves, sampler, plan, source, index, changing)

        first = jax.numpy.asarray(0, "int32")
        _, changing = jax.lax.while_loop(unfinished, body, (first, changing))
        return sampler.finish(changing[0], plan)

    return jax_compiled(generate, variables)


def tensorflow_graph(moves: Moves, sampler: Sampler, plan: Plan, inputs: Mapping[str, Any]) -> Any:
    """The loop as TensorFlow ops, for tensors of unknown batch and length; also for export."""
    import tensorflow as tf

    source, changing = start(moves, sampler, plan, inputs)

    def unfinished(index: Any, changing: Any) -> Any:
        return tf.logical_and(index < plan.steps, tf.logical_not(all_finished(sampler, changing)))

    def body(index: Any, changing: Any) -> Any:
        new = advance(moves, sampler, plan, source, index, changing)
        # A loop's variables keep one static shape; inference may know more, or less, inside.
        new = tf.nest.map_structure(
            lambda after, before: tf.ensure_shape(tf.cast(after, before.dtype), before.shape),
            new,
            changing,
        )
        return index + 1, new

    _, changing = tf.while_loop(unfinished, body, (tf.constant(0), changing))
    return sampler.finish(changing[0], plan)


def tensorflow_driver(moves: Moves, sampler: Sampler, plan: Plan, variables: list[Any]) -> Run:
    """A graph traced once, with unknown batch and source length."""
    import tensorflow as tf

    @tf.function(
        input_signature=[
            {
                "encoder_token_ids": tf.TensorSpec([None, None], tf.int32),
                "encoder_padding_mask": tf.TensorSpec([None, None], tf.bool),
                "seeds": tf.TensorSpec([None], tf.int32),
            }
        ]
    )
    def generate(inputs: Any) -> Any:
        return tensorflow_graph(moves, sampler, plan, inputs)

    return lambda inputs: generate(
        {name: tf.convert_to_tensor(value) for name, value in inputs.items()}
    )


DRIVERS = {"torch": eager_driver, "jax": jax_driver, "tensorflow": tensorflow_driver}


def make_driver(moves: Moves, sampler: Sampler, plan: Plan, variables: list[Any]) -> Run:
    """The driver of the running backend.

    Args:
        variables: every variable of the network.

    Returns:
        a function of `{"encoder_token_ids" int32 [B, S], "encoder_padding_mask" bool [B, S],
        "seeds" int32 [B]}` that returns a `Result` of NumPy arrays.
    """
    run = DRIVERS[keras.backend.backend()](moves, sampler, plan, variables)

    def to_numpy(inputs: Mapping[str, Any]) -> Result:
        return Result(*[np.asarray(ops.convert_to_numpy(part)) for part in run(inputs)])

    return to_numpy
