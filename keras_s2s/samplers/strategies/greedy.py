"""Greedy search; random sampling is built on the same class."""

from __future__ import annotations

from keras import ops

from keras_s2s.samplers.blockwise_top_k import argmax
from keras_s2s.samplers.context import Sources
from keras_s2s.samplers.gather import gather, put
from keras_s2s.samplers.histories import histories
from keras_s2s.samplers.log_probabilities import log_probabilities_at
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.processing import in_prefix, process
from keras_s2s.samplers.processors import FORBIDDEN
from keras_s2s.samplers.sampler import Advance, Result, Sampler
from keras_s2s.typing import Tensor, Tree


class Greedy(Sampler):
    """Greedy search: chooses the likeliest id at each step.

    Scores are the sum of the model's log-probabilities.

    Example:
        >>> model.generate("ein Hund", sampler="greedy")
    """

    takes_candidates = True

    @property
    def streams(self) -> bool:
        return self.num_return_sequences == 1

    def begin(self, sources: Sources, capacity: Tensor, plan: Plan, hidden_dim: int = 0) -> Tree:
        shape = (ops.shape(sources.places)[0], self.width)
        return {
            **histories(shape, capacity, plan),
            "lengths": ops.zeros(shape, dtype="int32"),
            "finished": ops.zeros(shape, dtype="bool"),
        }

    def choose(self, scores: Tensor, index: Tensor, sources: Sources) -> Tensor:
        """Returns the next id of each row: int32 `[R]` from processed logits `[R, V]`; of logits of
        some ids, its place among them.
        """
        return argmax(scores)

    def _chosen(self, scores: Tensor, index: Tensor, sources: Sources) -> Tensor:
        """Returns what `choose` returns as `[R, 1]`."""
        chosen = self.choose(scores, index, sources)
        if len(chosen.shape) != 1:
            raise ValueError(
                f"{type(self).__name__}.choose returned ids of the shape {tuple(chosen.shape)}; "
                "expected [R], one id for each row of scores [R, V]"
            )
        return chosen[:, None]

    def advance(
        self,
        search: Tree,
        logits: Tensor,
        index: Tensor,
        plan: Plan,
        sources: Sources,
        hidden: Tensor | None = None,
        attention: Tensor | None = None,
    ) -> Advance:
        alive = ops.logical_not(search["finished"])
        allowed = process(logits, search["token_ids"], index, plan, sources, alive)
        chosen = self._chosen(allowed, index, sources)
        log_probs = log_probabilities_at(logits, chosen)

        finished = search["finished"]
        tokens = ops.reshape(sources.ids_at(chosen), (-1, self.width))
        tokens = ops.where(finished, ops.cast(plan.pad, "int32"), tokens)
        log_probs = ops.reshape(log_probs, (-1, self.width))
        log_probs = ops.where(finished, ops.zeros_like(log_probs), log_probs)
        # Only a live row can end: a finished row is fed PAD, which may be EOS itself.
        ends = plan.ended(tokens, search["token_ids"], index)
        given = in_prefix(sources, index, plan)
        if given is not None:
            ends = ops.logical_and(ends, ops.logical_not(given)[:, None])
        ends = ops.logical_or(ends, sources.at_limit(index)[:, None])
        lengths = search["lengths"] + ops.cast(alive, "int32")
        if plan.processors or plan.prefixed:
            # No sequence is left where rules forbid every id, or a strategy chose one that is
            # forbidden (with a prefix, any other id); a length of 0 says so.
            stuck = ops.reshape(gather(allowed, chosen) <= FORBIDDEN, (-1, self.width))
            stuck = ops.logical_and(stuck, alive)
            ends = ops.logical_or(ends, stuck)
            lengths = ops.where(stuck, ops.zeros_like(lengths), lengths)
        search = {
            "token_ids": put(search["token_ids"], tokens, index),
            "log_probs": put(search["log_probs"], log_probs, index),
            "lengths": lengths,
            "finished": ops.logical_or(finished, ends),
        }
        return Advance(search, ops.reshape(tokens, (-1,)), None)

    def finished(self, search: Tree) -> Tensor:
        return ops.all(search["finished"], axis=1)

    def finish(self, search: Tree, plan: Plan) -> Result:
        return Result(
            search["token_ids"],
            search["lengths"],
            ops.sum(search["log_probs"], axis=-1),
            search["log_probs"],
        )
