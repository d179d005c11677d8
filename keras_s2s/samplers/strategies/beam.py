"""Beam search, which keeps live and finished hypotheses apart.

The search is the one of transformers 5 (`GenerationMixin._beam_search`), so that scores and
n-best lists mean the same: each step ranks the 2K best continuations of a source (more where
several ids end a sequence); those among
the first K that end in EOS compete for the K places of finished hypotheses by their
length-normalised score; the best K that do not end stay alive. A finished hypothesis is never
extended, and a live one never replaces it.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from keras import ops

from keras_s2s.options.generation import DEFAULTS, checked
from keras_s2s.options.strategies import STRATEGIES
from keras_s2s.samplers.agreement import agreed
from keras_s2s.samplers.best_allowed import best_allowed, most_forbidden
from keras_s2s.samplers.context import Sources
from keras_s2s.samplers.gather import gather, put
from keras_s2s.samplers.histories import histories
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.processing import in_prefix
from keras_s2s.samplers.processors import nowhere
from keras_s2s.samplers.sampler import Advance, Result, Sampler
from keras_s2s.typing import Tensor, Tree

#: Score of an empty place while searching: below that of every hypothesis, of whatever scale.
NOTHING = float("-inf")
#: Score of an empty place in a result: the least float32.
EMPTY = float(np.finfo(np.float32).min)
#: Attention that counts for none: its logarithm is finite.
LEAST_COVERAGE = 1e-10
#: The longest sequence to the power of the length penalty stays within this factor of 1.
WIDEST_NORM = 1e30


class Continuations(NamedTuple):
    """Hypotheses of each source with one id more, best first: `[B, N]` each.

    Attributes:
        scores: float32, accumulated.
        parents: int32, the beams that they continue.
        tokens: int32, their new ids.
        log_probs: float32, the model's own of these ids.
    """

    scores: Tensor
    parents: Tensor
    tokens: Tensor
    log_probs: Tensor


class Beam(Sampler):
    """Beam search: keeps the `num_beams` best hypotheses of each source.

    Args:
        num_beams: K, the hypotheses that are kept of each source.
        length_penalty: finished hypotheses are ranked by the sum of their log-probabilities
            over length to this power; above 0 favours longer ones. A prefix counts in neither.
        early_stopping: True stops a source once K hypotheses are finished; False stops when no
            live one is likely to score better, judged at its present length; "never" only when
            none can. "shrink" is Marian's search: each hypothesis that ends takes its place with
            it, and a source stops when no place is left.
        num_return_sequences: hypotheses returned for each source, best first.
        length_normalization: "power" is length to the power of `length_penalty`, "gnmt" that of
            Wu et al. 2016, `((5 + length) / 6) ** length_penalty`.
        coverage_penalty: what the scores of finished hypotheses lose for parts of the source that
            they attend to too little [Wu 2016]: the sum over all positions of
            `log(min(attention, 1))`, where `attention` is summed over the hypothesis, times this.

    Raises:
        ValueError: for values outside these ranges.

    Example:
        >>> model.generate("ein Hund", sampler=Beam(4, length_penalty=0.6))
    """

    takes_candidates = True

    def __init__(
        self,
        num_beams: int = STRATEGIES["beam"].defaults["num_beams"],
        *,
        length_penalty: float = DEFAULTS.length_penalty,
        early_stopping: bool | Literal["never", "shrink"] = DEFAULTS.early_stopping,
        num_return_sequences: int = DEFAULTS.num_return_sequences,
        length_normalization: str = DEFAULTS.length_normalization,
        coverage_penalty: float = DEFAULTS.coverage_penalty,
    ) -> None:
        num_beams = checked("num_beams", num_beams)
        num_return_sequences = checked("num_return_sequences", num_return_sequences)
        length_penalty = checked("length_penalty", length_penalty)
        early_stopping = checked("early_stopping", early_stopping)
        if num_return_sequences > num_beams:
            raise ValueError(
                f"num_return_sequences={num_return_sequences} must lie between 1 and "
                f"num_beams={num_beams}"
            )
        self.num_beams = num_beams
        self.length_penalty = float(length_penalty)
        self.early_stopping = early_stopping
        self.num_return_sequences = num_return_sequences
        self.length_normalization = checked("length_normalization", length_normalization)
        self.coverage_penalty = checked("coverage_penalty", coverage_penalty)

    @property
    def width(self) -> int:
        return self.num_beams

    @property
    def reads_attention(self) -> bool:  # type: ignore[override]
        return self.coverage_penalty > 0

    @property
    def streams(self) -> bool:
        return self.num_return_sequences == 1

    def final_ids(self, search: Tree, index: int) -> tuple[np.ndarray, np.ndarray]:
        return agreed([search], index)

    @property
    def _shrinks(self) -> bool:
        return self.early_stopping == "shrink"

    def check(self, plan: Plan) -> None:
        room = math.log(WIDEST_NORM) / math.log(max(plan.steps, 2))
        if abs(self.length_penalty) > room:
            raise ValueError(
                f"length_penalty={self.length_penalty:g}: {plan.steps} ids, as many as "
                f"max_length={plan.steps + 1} allows, to this power are beyond what scores in "
                f"float32 can tell apart; pass a value between {-room:.1f} and {room:.1f}"
            )

    def begin(self, sources: Sources, capacity: Tensor, plan: Plan, hidden_dim: int = 0) -> Tree:
        shape = (ops.shape(sources.places)[0], self.num_beams)
        empty = ops.full(shape, NOTHING, dtype="float32")
        # One beam starts with a score, so that the first step does not find K equal ones.
        first = ops.arange(self.num_beams, dtype="int32") == 0
        coverage = {}
        if self.reads_attention:
            none = ops.zeros_like(ops.cast(sources.positions, "float32"))[:, None]
            coverage["coverage"] = ops.repeat(none, self.num_beams, axis=1)  # [B, K, S']
        return {
            "live": {
                **histories(shape, capacity, plan),
                **coverage,
                "scores": ops.where(first, ops.zeros_like(empty), empty),
            },
            "done": {
                **histories(shape, capacity, plan),
                "scores": empty,
                "lengths": ops.zeros(shape, dtype="int32"),
                "ended": ops.zeros(shape, dtype="bool"),
            },
            "stopped": ops.zeros(shape[:1], dtype="bool"),
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
        best = self._continuations(search, logits, index, plan, sources)
        return self.proceed(search, best, index, plan, sources, attention)

    def proceed(
        self,
        search: Tree,
        found: Continuations,
        index: Tensor,
        plan: Plan,
        sources: Sources,
        attention: Tensor | None = None,
    ) -> Advance:
        """Continues the search with the continuations that were found; `attention` as in
        `advance`.
        """
        live = search["live"]
        if attention is not None:
            here = ops.reshape(attention, ops.shape(live["coverage"]))
            live = {**live, "coverage": live["coverage"] + here}
        ends = ended(live, found, index, plan, sources)
        may_end = self._may_end(search, found)

        # The best K that do not end stay alive; at the limit they are not used any more.
        leaving = ops.logical_or(ends, ops.logical_not(may_end)) if self._shrinks else ends
        kept = self._still_alive(found, leaving)
        new_live = {**_extend(live, kept, index), "scores": kept.scores}

        # Those that end, by EOS or because no further id fits, compete for the finished places.
        ending = ops.logical_or(ends, sources.at_limit(index)[:, None])
        ending = ops.logical_and(ending, may_end)
        # Nor continuations of an empty beam, of forbidden ids, or of a source that has stopped.
        ending = ops.logical_and(ending, found.scores > NOTHING)
        ending = ops.logical_and(ending, ops.logical_not(search["stopped"])[:, None])
        new_done = search["done"]
        if not nowhere(ending):
            new_done = self._best_finished(search, live, found, ending, index, plan, sources)

        stopped = self._stopped(search, new_live, new_done, index, plan, sources)
        batch = ops.shape(kept.parents)[0]
        offsets = ops.arange(batch, dtype="int32")[:, None] * self.num_beams
        return Advance(
            {"live": new_live, "done": new_done, "stopped": stopped},
            ops.reshape(kept.tokens, (-1,)),
            ops.reshape(kept.parents + offsets, (-1,)),
        )

    def _may_end(self, search: Tree, found: Continuations) -> Tensor:
        """Returns which continuations may end: those among the first K, or, where beams that end
        take their places with them, as many as places are left. Bool, `[1, N]` or `[B, N]`.
        """
        ranks = ops.arange(found.scores.shape[1], dtype="int32")[None]
        if not self._shrinks:
            return ranks < self.num_beams
        taken = ops.sum(ops.cast(search["done"]["ended"], "int32"), axis=1)
        return ranks < (self.num_beams - taken)[:, None]

    def _still_alive(self, found: Continuations, leaving: Tensor) -> Continuations:
        """Returns the best K continuations that do not leave the search."""
        going_on = ops.where(leaving, ops.full_like(found.scores, NOTHING), found.scores)
        scores, keep = ops.top_k(going_on, self.num_beams)
        keep = ops.cast(keep, "int32")
        _, *others = found
        return Continuations(scores, *[gather(values, keep) for values in others])

    def _best_finished(
        self,
        search: Tree,
        live: Tree,
        found: Continuations,
        ending: Tensor,
        index: Tensor,
        plan: Plan,
        sources: Sources,
    ) -> dict[str, Tensor]:
        """Returns the best K finished hypotheses: of those so far, and of continuations that end.

        Args:
            live: the live hypotheses, with their coverage after this step.
            ending: bool `[B, N]`, which continuations.
        """
        length = ops.cast(index, "int32") + 1
        final = found.scores / self._norm(length, sources, plan)
        if "coverage" in live:
            final = final + gather(self._coverage(live, sources), found.parents)
        new = {
            **_extend(live, found, index),
            "scores": ops.where(ending, final, ops.full_like(final, NOTHING)),
            "lengths": ops.zeros_like(found.tokens) + length,
            "ended": ending,
        }
        both = {
            name: ops.concatenate([values, new[name]], axis=1)
            for name, values in search["done"].items()
        }
        best = ops.cast(ops.top_k(both["scores"], self.num_beams)[1], "int32")
        return {name: gather(values, best) for name, values in both.items()}

    def _stopped(
        self,
        search: Tree,
        live: Tree,
        done: Tree,
        index: Tensor,
        plan: Plan,
        sources: Sources,
    ) -> Tensor:
        """Returns which sources stop, bool `[B]`: no id fits any more, no hypothesis is left to
        continue, or no better one is expected.

        Args:
            live, done: the hypotheses after this step.
        """
        stopped = ops.logical_or(search["stopped"], sources.at_limit(index))
        # Rules may have left no hypothesis to continue, and places may be gone.
        stopped = ops.logical_or(stopped, ops.logical_not(live["scores"][:, 0] > NOTHING))
        if not self._shrinks:
            length = ops.cast(index, "int32") + 1
            better = self._can_improve(live, done, length, plan, sources)
            stopped = ops.logical_or(stopped, ops.logical_not(better))
        if self.early_stopping is True:
            stopped = ops.logical_or(stopped, ops.all(done["ended"], axis=1))
        return stopped

    def _continuations(
        self, search: Tree, logits: Tensor, index: Tensor, plan: Plan, sources: Sources
    ) -> Continuations:
        """Returns the N best continuations of each source, best first; fewer where V is tiny.

        The N best of each beam are compared; see `continuations_kept`.
        """
        live, width = search["live"], self.continuations_kept(plan)
        found = best_allowed(logits, width, live["token_ids"], index, plan, sources, alive(search))
        return self.ranked(live, *found, plan)

    def continuations_kept(self, plan: Plan) -> int:
        """Returns how many continuations of a source hold K that do not end: 2K where one id ends a
        sequence, since each beam then ends in at most one way.
        """
        return (1 + len(plan.ends)) * self.num_beams

    def fewest_scores(self, plan: Plan) -> int:
        return self.continuations_kept(plan) + (most_forbidden(plan) or 0)

    def ranked(
        self, live: Tree, row_scores: Tensor, row_ids: Tensor, row_raw: Tensor, plan: Plan
    ) -> Continuations:
        """Returns the best continuations of each source, from those of each beam `[R, N]`."""
        width = row_scores.shape[-1]
        total = self._accumulated(live, row_scores, width)
        scores, places = ops.top_k(
            total, min(self.continuations_kept(plan), self.num_beams * width)
        )
        return Continuations(scores, *self._at(places, row_ids, row_raw, width))

    def _accumulated(self, live: Tree, row_scores: Tensor, width: int) -> Tensor:
        """Computes the scores of all candidates of a source, `[B, K * width]`."""
        total = ops.reshape(row_scores, (-1, self.num_beams, width)) + live["scores"][:, :, None]
        return ops.reshape(total, (-1, self.num_beams * width))

    def _at(
        self, places: Tensor, row_ids: Tensor, row_raw: Tensor, width: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns beams, ids and log-probabilities at `places` among a source's K * width
        candidates.
        """
        places = ops.cast(places, "int32")
        flat = (-1, self.num_beams * width)
        ids = ops.reshape(ops.cast(row_ids, "int32"), flat)
        return (
            places // width,
            gather(ids, places),
            gather(ops.reshape(row_raw, flat), places),
        )

    def _coverage(self, live: Tree, sources: Sources) -> Tensor:
        """Computes what hypotheses lose for what they do not attend to, `[B, K]`; at most 0."""
        attended = ops.clip(live["coverage"], LEAST_COVERAGE, 1.0)
        real = ops.cast(sources.positions, "float32")[:, None]
        return self.coverage_penalty * ops.sum(ops.log(attended) * real, axis=-1)

    def _norm(self, length: Tensor, sources: Sources, plan: Plan) -> Tensor:
        """Computes what scores are divided by, float32, of a scalar or `[B, 1]` of lengths; a
        prefix does not count.
        """
        length = ops.cast(length, "float32")
        if plan.prefixed:
            given = ops.cast(sources.prefix_lengths, "float32")[:, None]
            length = ops.maximum(length - given, 1.0)
        if self.length_normalization == "gnmt":
            length = (5.0 + length) / 6.0
        return ops.power(length, self.length_penalty)

    def _can_improve(
        self, live: Tree, done: Tree, length: Tensor, plan: Plan, sources: Sources
    ) -> Tensor:
        """Returns whether the best live hypothesis of each source might enter the finished ones:
        `[B]`.
        """
        if self.early_stopping == "never" and self.length_penalty > 0:
            # Its score can only fall while it grows, but its norm is largest at full length.
            length = sources.limits[:, None]
        # What is not attended to may still be: a coverage penalty can fall to 0.
        best = (live["scores"] / self._norm(length, sources, plan))[:, 0]
        worst = ops.min(done["scores"], axis=1)
        return ops.logical_or(ops.logical_not(ops.all(done["ended"], axis=1)), best > worst)

    def finished(self, search: Tree) -> Tensor:
        return search["stopped"]

    def finish(self, search: Tree, plan: Plan) -> Result:
        done = {
            name: value[:, : self.num_return_sequences] for name, value in search["done"].items()
        }
        # Rules can leave fewer sequences than were asked for. A place without one is empty:
        # it holds a forbidden candidate.
        ended = done["ended"]
        return Result(
            ops.where(ended[..., None], done["token_ids"], ops.cast(plan.pad, "int32")),
            ops.where(ended, done["lengths"], ops.zeros_like(done["lengths"])),
            ops.where(ended, done["scores"], ops.full_like(done["scores"], EMPTY)),
            ops.where(ended[..., None], done["log_probs"], ops.zeros_like(done["log_probs"])),
        )


def alive(search: Tree) -> Tensor:
    """Returns which beams have a sequence: bool `[B, K]`; rules may leave fewer than there are
    beams.
    """
    found = search["live"]["scores"] > NOTHING
    return ops.logical_and(found, ops.logical_not(search["stopped"])[:, None])


def ended(live: Tree, found: Continuations, index: Tensor, plan: Plan, sources: Sources) -> Tensor:
    """Returns which continuations end with their new id, bool `[B, N]`; none within a prefix."""
    ends = plan.ended(found.tokens, live["token_ids"], index, found.parents)
    given = in_prefix(sources, index, plan)
    return ends if given is None else ops.logical_and(ends, ops.logical_not(given)[:, None])


def _extend(live: Tree, found: Continuations, index: Tensor) -> dict[str, Tensor]:
    """Returns the histories of continuations, their new ids included."""
    coverage = {}
    if "coverage" in live:
        coverage["coverage"] = gather(live["coverage"], found.parents)
    return {
        "token_ids": put(gather(live["token_ids"], found.parents), found.tokens, index),
        "log_probs": put(gather(live["log_probs"], found.parents), found.log_probs, index),
        **coverage,
    }
