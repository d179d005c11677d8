"""Contrastive search: likely ids whose hidden vectors differ from earlier ones [Su 2022]."""

from __future__ import annotations

from keras import ops

from keras_s2s.options.generation import DEFAULTS, checked
from keras_s2s.options.strategies import STRATEGIES
from keras_s2s.samplers.blockwise_top_k import argmax, top_k
from keras_s2s.samplers.checks import whole
from keras_s2s.samplers.context import Sources
from keras_s2s.samplers.gather import gather, put
from keras_s2s.samplers.histories import histories
from keras_s2s.samplers.log_probabilities import log_probabilities_at
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.processing import in_prefix, process
from keras_s2s.samplers.processors import FORBIDDEN
from keras_s2s.samplers.sampler import Advance, Result, Sampler
from keras_s2s.typing import Tensor, Tree


class ContrastiveSearch(Sampler):
    """Contrastive search: weighs the probability of an id against its similarity to earlier ones.

    At each step the `top_k` likeliest ids are candidates. The decoder reads each of them, and the
    one with the greatest

        (1 - penalty_alpha) * probability - penalty_alpha * largest cosine similarity

    to the hidden vectors before it is chosen. A candidate is read before it is chosen, so that a
    sequence takes one step more than it has ids.

    Args:
        penalty_alpha: weight of the similarity, from 0 (greedy search) to 1.
        top_k: candidates at each step; None takes the default.

    Raises:
        ValueError: for values outside these ranges.

    Reference: Su et al. 2022, "A Contrastive Framework for Neural Text Generation".

    Example:
        >>> model.generate("ein Hund", sampler=ContrastiveSearch(penalty_alpha=0.6, top_k=4))
    """

    reads_hidden = True
    lookahead = 1

    def __init__(
        self,
        penalty_alpha: float = DEFAULTS.penalty_alpha,
        top_k: int | None = STRATEGIES["contrastive"].defaults["top_k"],
    ) -> None:
        self.penalty_alpha = checked("penalty_alpha", penalty_alpha)
        if top_k is None:
            top_k = STRATEGIES["contrastive"].defaults["top_k"]
        self.top_k = whole("top_k", top_k)

    @property
    def width(self) -> int:
        return self.top_k

    def begin(self, sources: Sources, capacity: Tensor, plan: Plan, hidden_dim: int = 0) -> Tree:
        batch = ops.shape(sources.places)[0]
        start = ops.repeat(sources.starts[:, None], self.top_k, axis=1)
        return {
            **histories((batch, 1), capacity, plan),
            "context": ops.zeros((batch, capacity, hidden_dim), dtype="float32"),
            # What the rows of a source are about to read: all the same at first.
            "candidates": start,
            "probabilities": ops.ones((batch, self.top_k), dtype="float32"),
            "allowed": ops.ones((batch, self.top_k), dtype="bool"),
            "candidate_log_probs": ops.zeros((batch, self.top_k), dtype="float32"),
            "lengths": ops.zeros((batch,), dtype="int32"),
            "done": ops.zeros((batch,), dtype="bool"),
        }

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
        assert hidden is not None
        if logits.shape[-1] < self.top_k:
            raise ValueError(
                f"top_k={self.top_k} is more than the {logits.shape[-1]} ids there are"
            )
        index = ops.cast(index, "int32")
        batch = ops.shape(search["done"])[0]
        # [R, D] -> [B, K, D]
        vectors = ops.normalize(ops.reshape(hidden, (batch, self.top_k, hidden.shape[-1])), axis=-1)
        choice = self._choice(search, vectors, index, plan, sources)
        search = self._taken(search, choice, vectors, index, plan, sources)
        # The candidates that follow are those after the chosen row.
        rows = ops.arange(batch, dtype="int32") * self.top_k + choice[:, 0]
        search = self._next_candidates(search, ops.take(logits, rows, axis=0), index, plan, sources)

        candidates, done = search["candidates"], search["done"]
        fed = ops.where(done[:, None], ops.full_like(candidates, plan.pad), candidates)
        return Advance(search, ops.reshape(fed, (-1,)), ops.repeat(rows, self.top_k))

    def _taken(
        self,
        search: Tree,
        choice: Tensor,
        vectors: Tensor,
        index: Tensor,
        plan: Plan,
        sources: Sources,
    ) -> Tree:
        """Returns the search with the chosen candidates in the histories of their sources.

        Args:
            choice: int32 `[B, 1]`, the candidate of each source.
            vectors: float32 `[B, K, D]`, the vectors of the candidates.
        """
        # The id that was read at this step is number index - 1 of the sequence.
        token = gather(search["candidates"], choice)[:, 0]
        log_prob = gather(search["candidate_log_probs"], choice)[:, 0]
        done = search["done"]
        going_on = ops.logical_and(index > 0, ops.logical_not(done))
        old = search["token_ids"], search["log_probs"]
        new = put(old[0], token[:, None], index - 1), put(old[1], log_prob[:, None], index - 1)
        tokens, log_probs = (
            ops.where(going_on[:, None, None], after, before)
            for after, before in zip(new, old, strict=True)
        )
        ended = plan.ended(token[:, None], old[0], index - 1)[:, 0]
        given = in_prefix(sources, index - 1, plan)
        if given is not None:
            ended = ops.logical_and(ended, ops.logical_not(given))
        ended = ops.logical_or(ended, sources.at_limit(index - 1))
        # [B, C, D]
        here = ops.arange(ops.shape(search["context"])[1], dtype="int32") == index
        chosen = gather(vectors, choice)
        return {
            **search,
            "token_ids": tokens,
            "log_probs": log_probs,
            "lengths": search["lengths"] + ops.cast(going_on, "int32"),
            "done": ops.logical_or(done, ops.logical_and(going_on, ended)),
            "context": ops.where(here[None, :, None], chosen, search["context"]),
        }

    def _next_candidates(
        self, search: Tree, logits: Tensor, index: Tensor, plan: Plan, sources: Sources
    ) -> Tree:
        """Returns the search with the likeliest next ids of each source as candidates.

        Args:
            logits: float32 `[B, V]`, after the chosen ids.
        """
        done, lengths = search["done"], search["lengths"]
        alive = ops.logical_not(done)[:, None]
        scores = process(logits, search["token_ids"], index, plan, sources, alive)
        best, candidates = top_k(scores, self.top_k)
        allowed = best > FORBIDDEN
        probabilities = ops.exp(log_probabilities_at(scores, candidates))
        # Rules that forbid every id leave no sequence, which a length of 0 says.
        stuck = ops.logical_not(ops.logical_or(done, ops.any(allowed, axis=1)))
        return {
            **search,
            "candidates": candidates,
            "probabilities": ops.where(allowed, probabilities, ops.zeros_like(best)),
            "allowed": allowed,
            "candidate_log_probs": log_probabilities_at(logits, candidates),
            "lengths": ops.where(stuck, ops.zeros_like(lengths), lengths),
            "done": ops.logical_or(done, stuck),
        }

    def _choice(
        self, search: Tree, vectors: Tensor, index: Tensor, plan: Plan, sources: Sources
    ) -> Tensor:
        """Returns the row of each source whose id is chosen: int32 `[B, 1]`."""
        # [B, K, D] x [B, C, D] -> [B, K, C]
        similarity = ops.einsum("bkd,bcd->bkc", vectors, search["context"])
        before = ops.arange(ops.shape(similarity)[2], dtype="int32") < index
        similarity = ops.max(ops.where(before, similarity, ops.full_like(similarity, -2)), axis=2)
        scores = (1 - self.penalty_alpha) * search["probabilities"]
        scores = scores - self.penalty_alpha * similarity
        # What a rule forbids is no candidate, however unlike the rest its vector is.
        scores = ops.where(search["allowed"], scores, ops.full_like(scores, FORBIDDEN))
        choice = argmax(scores)
        given = in_prefix(sources, index - 1, plan)
        if given is not None:
            # Its probability is 1, so that it comes first.
            choice = ops.where(given, ops.zeros_like(choice), choice)
        return choice[:, None]

    def grow(self, search: Tree, capacity: Tensor, plan: Plan) -> Tree:
        grown = super().grow(search, capacity, plan)
        context = search["context"]
        batch, length = ops.shape(context)[:2]
        room = ops.zeros((batch, capacity - length, context.shape[-1]), dtype=context.dtype)
        return {**grown, "context": ops.concatenate([context, room], axis=1)}

    def finished(self, search: Tree) -> Tensor:
        return search["done"]

    def finish(self, search: Tree, plan: Plan) -> Result:
        log_probs = search["log_probs"]
        return Result(
            search["token_ids"],
            search["lengths"][:, None],
            ops.sum(log_probs, axis=-1),
            log_probs,
        )
