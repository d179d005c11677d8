"""Base class of strategies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np

from keras_s2s.moved_modules import moved_name
from keras_s2s.samplers.context import Sources
from keras_s2s.samplers.histories import extended
from keras_s2s.samplers.plan import Plan
from keras_s2s.typing import Tensor, Tree


class Advance(NamedTuple):
    """What a sampler decides at a step.

    Attributes:
        search: its own state after the step.
        tokens: int32 `[R]`, the next decoder inputs.
        parents: int32 `[R]`: row r continues the history of row `parents[r]`, one of the same
            source; None where every row continues its own.
    """

    search: Tree
    tokens: Tensor
    parents: Tensor | None


class Draft(NamedTuple):
    """Guesses of the next ids of each source.

    Attributes:
        ids: int32 `[B, T - 1]`.
        counts: int32 `[B]`, how many of them are guesses.
        starts: int32 `[B]`, the number of the step that the first of them is for: how many ids each
            source has.
        places: int32 `[B]`, where they stand in the source.
    """

    ids: Tensor
    counts: Tensor
    starts: Tensor
    places: Tensor


class Verified(NamedTuple):
    """What a sampler decides of a draft.

    Attributes:
        search: its own state after the step.
        tokens: int32 `[B]`, the next decoder inputs.
        taken: int32 `[B]`, how many ids each source has taken.
    """

    search: Tree
    tokens: Tensor
    taken: Tensor


class Result(NamedTuple):
    """Finished hypotheses, best first; C is the capacity of the search at its end.

    Attributes:
        token_ids: int32 `[B, N, C]`, EOS included, then PAD.
        lengths: int32 `[B, N]`, EOS counted, PAD not.
        scores: float32 `[B, N]`.
        token_log_probs: float32 `[B, N, C]`, the model's own, zero after EOS.
    """

    token_ids: Tensor
    lengths: Tensor
    scores: Tensor
    token_log_probs: Tensor


class Sampler(ABC):
    """Base class of strategies, which choose the next ids from logits.

    A subclass is immutable and hashable by its settings (`key`), keeps everything that changes
    in the `search` tree that it returns, and uses `keras.ops` only, so that the same code runs
    eagerly, inside `jax.jit` and inside a TensorFlow graph. Every leaf of `search` is
    `[B, ...]`, so that sources that are done can be removed, and others at the same step added
    (axes as long as the sources are then padded with zeros).

    Histories have the capacity they were made for, and `grow` extends them. They are found by
    name: entries `token_ids` and `log_probs` of the dictionaries in `search`, with the steps on
    their last axis (see `histories`). A strategy with other arrays as long as the capacity
    overrides `grow`.

    A sequence ends where `Plan.ended` says so, or where no further id fits:
    `sources.at_limit(index)`.
    """

    #: hypotheses returned for each source.
    num_return_sequences: int = 1

    #: whether the strategy reads hidden vectors of the decoder: `begin` is then passed their width
    #: `hidden_dim`, and `advance` the vectors `hidden`.
    reads_hidden = False

    #: whether the strategy reads the decoder's attention: `advance` is then passed the weights
    #: `attention`, and `Sources.positions` says which of them are real.
    reads_attention = False

    #: whether the strategy reads `Sources.phrases`, what results must have.
    reads_phrases = False

    #: whether `advance` takes logits `[R, U]` of some ids alone, those of `Sources.candidates`,
    #: where a call has a shortlist: it looks ids up by `Sources.ids_at`. Without it the strategy is
    #: given logits of all ids, which takes longer. A class says so for itself: its subclasses do
    #: not inherit it.
    takes_candidates = False

    #: most ids that a step drafts for each source. Where it is above 0, `draft` and `verify` take
    #: the place of `advance`: a step then advances each source by one id or by more.
    drafts = 0

    #: decoder steps that a sequence needs beyond one for each of its ids: contrastive search reads
    #: an id before it chooses it, and so takes one more.
    lookahead = 0

    def __repr__(self) -> str:
        """Returns the strategy with its settings."""
        settings = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({settings})"

    @property
    def width(self) -> int:
        """Number of rows of each source while searching (K)."""
        return 1

    @property
    def copies(self) -> int:
        """Number of independent searches for each source."""
        return 1

    @property
    def draws(self) -> bool:
        """Whether the ids depend on `Sources.seeds`.

        `generate` refuses a `seed` where they do not, and an exported model has an input `seeds`
        only where they do. A sampler that reads the seeds overrides this with True.
        """
        return False

    @property
    def streams(self) -> bool:
        """Whether ids can be shown before the sequence has ended.

        True for a sampler that has one sequence for each source (`width`, `copies` and
        `num_return_sequences` are 1), and never changes an id that it has chosen; or for one that
        says which of them are final (`final_ids`).
        """
        return False

    def final_ids(self, search: Tree, index: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Returns the ids of each source's best sequence that nothing changes any more.

        Args:
            search: the state before step `index`, as NumPy arrays.

        Returns:
            `(ids int32 [B, C], lengths int32 [B])`, for all sources; None where all that `finish`
            returns are final.
        """
        return None

    def key(self) -> tuple[Any, ...]:
        """Returns all settings on which the computation depends; strategies with equal keys share
        compiled programs.
        """
        # The type itself: another class may have the same name, in a notebook for example.
        return (type(self), *sorted(vars(self).items()))

    def fewest_scores(self, plan: Plan) -> int:
        """Returns the fewest ids whose scores a row must have, for all continuations that the
        strategy looks at.
        """
        return 1

    def check(self, plan: Plan) -> None:  # noqa: B027  (most have nothing to check)
        """Raises an error for a plan that the strategy cannot follow.

        Raises:
            ValueError: it cannot.
        """

    @abstractmethod
    def begin(self, sources: Sources, capacity: Tensor, plan: Plan, hidden_dim: int = 0) -> Tree:
        """Returns the search state before the first step.

        Args:
            sources: what is known of each source.
            capacity: steps that the histories hold, an int or a scalar tensor.
            plan: the generation's plan.
            hidden_dim: D, width of the decoder's hidden vectors; passed to strategies with
                `reads_hidden` only. Others may leave it out of their signature.
        """

    @abstractmethod
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
        """Takes one step.

        Args:
            search: the search state.
            logits: float32 `[R, V]`, R = B*K, the rows of a source side by side.
            index: number of the step, counted from 0.
            plan: the generation's plan.
            sources: what is known of each source.
            hidden: float32 `[R, D]`, the decoder's hidden vectors from which the logits were made;
                passed to strategies with `reads_hidden` only. Others may leave it out of their
                signature.
            attention: float32 `[R, S']`, the decoder's attention to the source when it computed
                the logits; passed to strategies with `reads_attention` only, likewise.
        """

    def draft(self, search: Tree, plan: Plan, sources: Sources, vocabulary: int) -> Draft:
        """Guesses the next ids of each source, which the decoder then reads in one step.

        Args:
            search, plan, sources: as in `advance`.
            vocabulary: ids of the target.
        """
        raise NotImplementedError(f"{type(self).__name__} drafts nothing")

    def verify(
        self, search: Tree, logits: Tensor, draft: Draft, plan: Plan, sources: Sources
    ) -> Verified:
        """Takes the ids that the strategy chooses, as far as the draft has them, and one more.

        Args:
            search, plan, sources: as in `advance`.
            logits: float32 `[B, T, V]`: after the last id, and after each of the draft.
            draft: what `draft` returned, or its first `T - 1` ids.
        """
        raise NotImplementedError(f"{type(self).__name__} drafts nothing")

    @abstractmethod
    def finished(self, search: Tree) -> Tensor:
        """Returns whether each source is done: bool `[B]`."""

    @abstractmethod
    def finish(self, search: Tree, plan: Plan) -> Result:
        """Returns the hypotheses that were found; those of sources that are not done are cut."""

    def grow(self, search: Tree, capacity: Tensor, plan: Plan) -> Tree:
        """Makes room for `capacity` steps in every history."""

        def extend(tree: Tree) -> Tree:
            if not isinstance(tree, dict):
                return tree
            grown = {name: extend(value) for name, value in tree.items()}
            for name, empty in (("token_ids", plan.pad), ("log_probs", 0)):
                if name in tree:
                    grown[name] = extended(tree[name], capacity, empty)
            return grown

        return extend(search)


def __getattr__(name: str) -> Any:
    """Returns what was in this module before, with a warning."""
    return moved_name(__name__, name)
