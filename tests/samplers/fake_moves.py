"""Networks without weights: the next distribution depends on the last id alone (Markov)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_s2s.config import EmbeddingConfig
from keras_s2s.decoding.drivers.driver_choice import make_driver
from keras_s2s.decoding.schedule import decode
from keras_s2s.decoding.segments import gathered
from keras_s2s.layers import InputEmbedding, TokenFrontend
from keras_s2s.layers import state as state_moves
from keras_s2s.layers.state import State, StepOutput
from keras_s2s.samplers import Plan, Sampler
from keras_s2s.samplers.phrases import phrase_arrays
from keras_s2s.samplers.sampler import Result


class Markov:
    """Log-probabilities `table [V, V]`: row = last id, column = next id.

    The state counts the ids a row was fed, so that a wrong reorder or an extended finished
    hypothesis is visible.
    """

    frontend = TokenFrontend(None, InputEmbedding(EmbeddingConfig()))

    def __init__(self, table: Any) -> None:
        self.table = np.asarray(table, "float32")

    def encode(self, inputs: Mapping[str, Any]) -> Any:
        return inputs["encoder_padding_mask"]

    def init_state(self, memory: Any, capacity: Any) -> State:
        rows = ops.shape(memory)[0]
        return State({"mask": memory}, {"fed": ops.zeros((rows,), dtype="int32")})

    def step(self, tokens: Any, state: State, index: Any, want_attention: bool = False) -> Any:
        logits = ops.take(ops.convert_to_tensor(self.table), tokens, axis=0)
        return StepOutput(logits, State(state.source, {"fed": state.beam["fed"] + 1}), None)

    def spread(self, state: State, num_beams: int) -> State:
        return state_moves.spread(state, num_beams)

    def reorder(self, state: State, parents: Any) -> State:
        return state_moves.reorder(state, parents)

    def select_rows(self, state: State, rows: Any) -> State:
        return state_moves.select_rows(state, rows)

    def join(self, states: Sequence[State]) -> State:
        return state_moves.join(states)

    def grow(self, state: State, capacity: Any) -> State:
        return state


def run(
    moves: Any,
    sampler: Sampler,
    plan: Plan,
    rows: int = 1,
    seeds: Any = None,
    prefixes: Any = None,
    limits: Any = None,
    phrases: Any = None,
) -> Result:
    """Run a sampler over `rows` equal sources the running backend's way.

    Args:
        prefixes: int `[rows, P]`, where the plan is prefixed.
        limits: int32 `[rows]`; None takes the plan's for all.
        phrases: the constraints of each source, for samplers that read them.
    """
    prefix = np.zeros((rows, 1)) if prefixes is None else np.asarray(prefixes)
    length = 0 if prefixes is None else prefix.shape[1]
    inputs = {
        "encoder_token_ids": np.ones((rows, 1), "int32"),
        "encoder_padding_mask": np.ones((rows, 1), bool),
        "places": np.arange(rows, dtype="int32"),
        "seeds": np.zeros(rows, "int32") if seeds is None else np.asarray(seeds, "int32"),
        "prefix": prefix.astype("int32"),
        "prefix_lengths": np.full(rows, length, "int32"),
        "limits": np.full(rows, plan.steps, "int32") if limits is None else limits,
    }
    if sampler.reads_phrases:
        inputs.update(phrase_arrays(phrases))
    driver = make_driver(moves, sampler, plan, [])
    parts = list(decode(driver, [(np.arange(rows), inputs)], int(inputs["limits"].max())))
    return gathered(parts, rows, sampler, plan.pad)
