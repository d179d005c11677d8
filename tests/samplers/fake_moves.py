"""Networks without weights: the next distribution depends on the last id alone (Markov)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from keras_s2s.layers.state import State, StepOutput
from keras_s2s.layers.state import reorder as reorder_rows
from keras_s2s.samplers import Plan, Sampler
from keras_s2s.samplers.loop import make_driver
from keras_s2s.samplers.sampler import Result


class Markov:
    """Log-probabilities `table [V, V]`: row = last id, column = next id.

    The state counts the ids a row was fed, so that a wrong reorder or an extended finished
    hypothesis is visible.
    """

    def __init__(self, table: Any) -> None:
        self.table = np.asarray(table, "float32")

    def encode(self, inputs: Mapping[str, Any]) -> Any:
        return inputs["encoder_padding_mask"]

    def init_state(self, memory: Any, capacity: int) -> State:
        rows = ops.shape(memory)[0]
        return State({"mask": memory}, {"fed": ops.zeros((rows,), dtype="int32")})

    def step(self, tokens: Any, state: State, index: Any, want_attention: bool = False) -> Any:
        logits = ops.take(ops.convert_to_tensor(self.table), tokens, axis=0)
        return StepOutput(logits, State(state.source, {"fed": state.beam["fed"] + 1}), None)

    def reorder(self, state: State, parents: Any) -> State:
        return reorder_rows(state, parents)


def run(moves: Any, sampler: Sampler, plan: Plan, rows: int = 1, seeds: Any = None) -> Result:
    """Run a sampler over `rows` equal sources the running backend's way."""
    driver = make_driver(moves, sampler, plan, [])
    return driver(
        {
            "encoder_token_ids": np.ones((rows, 1), "int32"),
            "encoder_padding_mask": np.ones((rows, 1), bool),
            "seeds": np.zeros(rows, "int32") if seeds is None else np.asarray(seeds, "int32"),
        }
    )
