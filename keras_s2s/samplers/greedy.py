"""Greedy search: the likeliest next id, every time. Its frame also serves random sampling."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_s2s.samplers.sampler import Advance, Plan, Result, Sampler, log_softmax, pick, process
from keras_s2s.samplers.sampler import put as put_at


class Greedy(Sampler):
    """Takes the likeliest id at each step.

    Scores are the sum of the model's log-probabilities.

    Example:
        >>> model.generate("ein Hund", sampler="greedy")
    """

    def begin(self, batch: Any, plan: Plan, seeds: Any = None) -> Any:
        shape = (batch, plan.steps)
        return {
            "token_ids": ops.full(shape, plan.pad, dtype="int32"),
            "log_probs": ops.zeros(shape, dtype="float32"),
            "lengths": ops.zeros((batch,), dtype="int32"),
            "finished": ops.zeros((batch,), dtype="bool"),
        }

    def choose(self, log_probs: Any, search: Any, index: Any) -> Any:
        """The next id of each row: int32 `[R]` from processed log-probabilities `[R, V]`."""
        return ops.cast(ops.argmax(log_probs, axis=-1), "int32")

    def advance(self, search: Any, logits: Any, index: Any, plan: Plan) -> Advance:
        log_probs = log_softmax(logits)
        allowed = process(log_probs, search["token_ids"], index, plan)
        tokens = self.choose(allowed, search, index)
        chosen = pick(log_probs, tokens[:, None])[:, 0]

        finished = search["finished"]
        tokens = ops.where(finished, ops.cast(plan.pad, "int32"), tokens)
        chosen = ops.where(finished, ops.zeros_like(chosen), chosen)
        lengths = search["lengths"] + ops.cast(ops.logical_not(finished), "int32")
        search = {
            **search,
            "token_ids": put_at(search["token_ids"], tokens, index),
            "log_probs": put_at(search["log_probs"], chosen, index),
            "lengths": lengths,
            # Only a live row can end: a finished row is fed PAD, which may be EOS itself.
            "finished": ops.logical_or(finished, tokens == plan.eos),
        }
        return Advance(search, tokens, None)

    def finished(self, search: Any) -> Any:
        return search["finished"]

    def finish(self, search: Any, plan: Plan) -> Result:
        return Result(
            search["token_ids"][:, None],
            search["lengths"][:, None],
            ops.sum(search["log_probs"], axis=-1)[:, None],
            search["log_probs"][:, None],
        )
