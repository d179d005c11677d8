"""The decoding loop: encodes sources, then alternates steps of a network and of a sampler.

A generation is `start`, then segments of `advance`, then `finish`. Its data are two trees:
`fixed`, which steps do not change (the sources, and what the decoder computed from them once), and
`changing`, which each step replaces. Between two segments sources that are done are removed
(`select`), others are added (`join`), and the capacity is extended (`grow`). A driver repeats the
step: in Python (`eager_driver`), in `jax.jit` around a `while_loop` (`jax_driver`), or in a
TensorFlow graph traced once with unknown sizes (`tensorflow_driver`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from keras_s2s.decoding.candidates import (
    Candidates,
    among_all,
    fewest_candidates,
    only_allowed,
)
from keras_s2s.layers.contracts import SOURCE_MASK, Frontend
from keras_s2s.layers.state import Memory, State, StepOutput, join_rows
from keras_s2s.samplers.context import Sources
from keras_s2s.samplers.phrases import Phrases
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.processors import ROUNDING
from keras_s2s.samplers.random_numbers import each_own
from keras_s2s.samplers.sampler import Result, Sampler
from keras_s2s.typing import Tensor, Tree


class Moves(Protocol):
    """The methods of a network that the decoding loop calls.

    Attributes:
        frontend: knows the inputs that sources are.
        hidden_dim: width of the decoder's hidden vectors.
        vocabulary_size: ids of the target.
    """

    frontend: Frontend

    @property
    def hidden_dim(self) -> int: ...
    @property
    def vocabulary_size(self) -> int: ...
    def of_ids(self, ids: Tensor) -> tuple[Tensor, Tensor]: ...

    def encode(self, inputs: Mapping[str, Tensor]) -> Memory: ...
    def init_state(self, memory: Memory, capacity: Tensor) -> State: ...
    def spread(self, state: State, num_beams: int) -> State: ...
    def step(
        self,
        tokens: Tensor,
        state: State,
        index: Tensor,
        want_attention: bool = False,
        output_ids: tuple[Tensor, Tensor] | None = None,
    ) -> StepOutput: ...
    def step_several(
        self,
        tokens: Tensor,
        state: State,
        starts: Tensor,
        output_ids: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, State]: ...
    def reorder(self, state: State, parents: Tensor) -> State: ...
    def select_rows(self, state: State, rows: Tensor) -> State: ...
    def join(self, states: Sequence[State]) -> State: ...
    def grow(self, state: State, capacity: Tensor) -> State: ...


def longest_of(length: int, ratio: float) -> int:
    """Returns the most ids after the prefix of a target, for a source of a length; at least 1."""
    return max(int(np.floor(np.float32(length) * np.float32(ratio) + np.float32(ROUNDING))), 1)


class Loop:
    """The decoding loop of a network and a sampler.

    Args:
        moves: the network.
        sampler: the strategy.
        plan: settings that are fixed before the generation starts.
    """

    #: whether a step may need more room than one position: see `full`.
    looks_for_room = False

    def __init__(self, moves: Moves, sampler: Sampler, plan: Plan) -> None:
        self.moves = moves
        self.sampler = sampler
        self.plan = plan
        #: as `fewest_candidates` returns it; None where there is no shortlist, too.
        self.fewest_candidates: int | None = None
        if plan.shortlisted:
            self.fewest_candidates = fewest_candidates(sampler, plan, moves.vocabulary_size)

    def start(self, inputs: Mapping[str, Tensor], capacity: Tensor) -> tuple[Tree, Tree]:
        """Encodes the sources, and prepares the state before the first step.

        Args:
            inputs: those of the frontend (`Frontend.specs`); `places`, `seeds`, `prefix_lengths`
                and `limits` `[B]`; `prefix` `[B, P]`: see `Sources`. `starts` `[B]` may be left
                out: then it is the plan's decoder start.
            capacity: steps to make room for.

        The fields of `Phrases` are inputs too, where the sampler reads them, and `allowed` `[B, V]`
        where the plan is shortlisted.

        Returns:
            `(fixed, changing)`: `(sources, state.source)` and `(search, tokens, state.beam,
            finite)`, of `sampler.copies` sources for each one, side by side; `finite`, bool `[B]`,
            is True where all logits were finite so far.
        """
        ids, mask = self.moves.frontend.token_ids(inputs), inputs[SOURCE_MASK]
        if ids is None:  # no rule of the plan reads them: `requests/planning.py` refuses those
            mask = mask[:, :0]
            ids = ops.cast(mask, "int32")
        if "starts" not in inputs:
            starts = ops.full_like(inputs["places"], self.plan.decoder_start)
            inputs = {**inputs, "starts": starts}
        if self.plan.max_length_ratio is not None:
            lengths = ops.sum(ops.cast(inputs[SOURCE_MASK], "float32"), axis=1)
            longest = ops.floor(lengths * self.plan.max_length_ratio + ROUNDING)
            longest = ops.maximum(ops.cast(longest, "int32"), 1)
            limits = ops.minimum(inputs["limits"], inputs["prefix_lengths"] + longest)
            inputs = {**inputs, "limits": limits}
        phrases: Any = ()
        if self.sampler.reads_phrases:
            phrases = Phrases(*[inputs[name] for name in Phrases._fields])
        sources = Sources(ids, mask, *[inputs[name] for name in Sources._fields[2:-4]])
        allowed = inputs["allowed"] if self.plan.shortlisted else ()
        memory = self.moves.encode(inputs)
        positions: Any = memory.mask if self.sampler.reads_attention else ()
        sources = sources._replace(phrases=phrases, allowed=allowed, positions=positions)
        state = self.moves.init_state(memory, capacity)
        width, copies = self.sampler.width, self.sampler.copies
        if copies > 1:
            sources, state = self._copied(sources, state, copies)
        if width > 1:
            state = self.moves.spread(state, width)
        more = {"hidden_dim": self.moves.hidden_dim} if self.sampler.reads_hidden else {}
        search = self.sampler.begin(sources, capacity, self.plan, **more)
        batch = ops.shape(sources.places)[0]
        tokens = ops.repeat(sources.starts, width) if width > 1 else sources.starts
        finite = ops.ones((batch,), dtype="bool")
        return (sources, state.source), (search, tokens, state.beam, finite)

    def _copied(self, sources: Sources, state: State, copies: int) -> tuple[Sources, State]:
        """Returns each source `copies` times, side by side, each with a seed of its own."""
        rows = ops.repeat(ops.arange(ops.shape(sources.places)[0], dtype="int32"), copies)
        seeds = each_own(sources.seeds, copies)
        sources = keras.tree.map_structure(lambda leaf: ops.take(leaf, rows, axis=0), sources)
        return sources._replace(seeds=seeds), self.moves.select_rows(state, rows)

    def candidates(self, fixed: Tree, size: Tensor) -> Candidates:
        """Returns the ids whose logits are computed for the sources of a batch, all that a source's
        results may have among them.

        Args:
            fixed: of the batch.
            size: their number, as many as any source may have or more.
        """
        return Candidates.of(self.moves, fixed[0].allowed, size)

    def advance(
        self, fixed: Tree, changing: Tree, index: Tensor, candidates: Candidates | None = None
    ) -> Tree:
        """Takes one step: advances the network, lets the sampler choose ids, and reorders
        histories.

        Args:
            fixed, changing: of the batch.
            index: number of the step.
            candidates: of the batch, where the plan is shortlisted; without them the logits of all
                ids are computed.
        """
        (sources, source), (search, tokens, beam, finite) = fixed, changing
        some: dict[str, Any] = {}  # networks of one's own may know nothing of shortlists
        if candidates:
            some["output_ids"] = (candidates.vectors, candidates.bias)
        seeing = self.sampler.reads_attention
        out = self.moves.step(tokens, State(source, beam), index, want_attention=seeing, **some)
        logits = ops.cast(out.logits, "float32")
        finite = self._still_finite(finite, logits, search)
        if candidates:
            logits = only_allowed(logits, candidates.allowed, self.sampler.width)
            if self.fewest_candidates is None:
                logits = among_all(logits, candidates)
            else:
                sources = sources._replace(candidates=candidates.ids)
        elif self.plan.shortlisted:
            logits = only_allowed(logits, sources.allowed, self.sampler.width)
        more = {"hidden": ops.cast(out.hidden, "float32")} if self.sampler.reads_hidden else {}
        if seeing:
            if out.attention is None:
                raise ValueError(
                    f"{type(self.sampler).__name__} needs the attention to the source "
                    "(coverage_penalty), but this model's decoder reads its source as a fixed "
                    "vector only; leave the option out"
                )
            more["attention"] = ops.cast(out.attention, "float32")
        search, tokens, parents = self.sampler.advance(
            search, logits, index, self.plan, sources, **more
        )
        state = out.state if parents is None else self.moves.reorder(out.state, parents)
        return search, tokens, state.beam, finite

    def _still_finite(self, finite: Tensor, logits: Tensor, search: Tree) -> Tensor:
        """Returns `finite` after a step; sources that were done before do not change.

        The sum over a row of logits is the cheapest test that finds NaN and infinity.
        """
        here = ops.isfinite(ops.sum(logits, axis=-1))
        if self.sampler.width > 1:
            here = ops.all(ops.reshape(here, (-1, self.sampler.width)), axis=1)
        return ops.logical_and(finite, ops.logical_or(here, self.sampler.finished(search)))

    def finished(self, changing: Tree) -> Tensor:
        """Returns whether each source is done, or has logits that are not finite: `[B]`."""
        return ops.logical_or(self.sampler.finished(changing[0]), ops.logical_not(changing[3]))

    def full(self, changing: Tree) -> Tensor:
        """Returns whether the next step needs more room than the state has."""
        return False

    def rests(self, changing: Tree, finished: Tensor | None = None) -> Tensor:
        """Returns whether no step can be taken: every source is done, or one needs more room.

        Args:
            changing: of the batch.
            finished: what `finished` returned for it; None computes it.
        """
        done = ops.all(self.finished(changing) if finished is None else finished)
        return ops.logical_or(done, self.full(changing)) if self.looks_for_room else done

    def finite(self, changing: Tree) -> Tensor:
        """Returns whether the logits of each source were finite so far: bool `[B]`."""
        return changing[3]

    def select(self, fixed: Tree, changing: Tree, rows: Tensor) -> tuple[Tree, Tree]:
        """Keeps the sources `rows`, int32 `[B']`."""
        (sources, source), (search, tokens, beam, finite) = fixed, changing
        state = self.moves.select_rows(State(source, beam), rows)

        def take(leaf: Tensor) -> Tensor:
            return ops.take(leaf, rows, axis=0)

        tokens = ops.reshape(take(ops.reshape(tokens, (-1, self.sampler.width))), (-1,))
        sources, search = (keras.tree.map_structure(take, tree) for tree in (sources, search))
        return (sources, state.source), (search, tokens, state.beam, take(finite))

    def join(self, first: Tree, second: Tree, rows: Tensor) -> tuple[Tree, Tree]:
        """Joins the sources of two generations at the same step.

        Args:
            first, second: a `(fixed, changing)` of each.
            rows: int32 `[B']`, the sources to keep, those of `second` counted on from those of
                `first`.
        """
        states, others = [], []
        for (sources, source), (search, tokens, beam, finite) in (first, second):
            states.append(State(source, beam))
            others.append((sources, search, tokens, finite))
        state = self.moves.join(states)
        sources, search, tokens, finite = join_rows(others)
        return self.select((sources, state.source), (search, tokens, state.beam, finite), rows)

    def grow(self, fixed: Tree, changing: Tree, capacity: Tensor) -> Tree:
        """Makes room for `capacity` steps."""
        search, tokens, beam, finite = changing
        state = self.moves.grow(State(fixed[1], beam), capacity)
        return self.sampler.grow(search, capacity, self.plan), tokens, state.beam, finite

    def finish(self, changing: Tree) -> Result:
        """Returns the results so far."""
        return self.sampler.finish(changing[0], self.plan)
