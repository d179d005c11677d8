"""The candidates of a batch: the ids whose logits are computed where sources have shortlists.

Each source has the ids that its own results may have, and its probabilities are normalised over
these alone. The output projection is computed once for all sources of a batch, over all ids that
any of them may have: a row depends on its batch in nothing but rounding. Strategies and rules that
can (`takes_candidates`) choose among these logits; for others they are put to the places of their
ids among all.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from keras import ops

from keras_s2s.samplers.context import all_take_candidates
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.processors import FORBIDDEN
from keras_s2s.samplers.sampler import Sampler
from keras_s2s.typing import Tensor


class Projects(Protocol):
    """A network that computes logits of some ids."""

    def of_ids(self, ids: Tensor) -> tuple[Tensor, Tensor]: ...


class Candidates(NamedTuple):
    """The ids whose logits are computed for a batch of B sources.

    Attributes:
        ids: int32 `[U]`.
        allowed: bool `[B, U]`, which of them each source's results may have.
        places: int32 `[V]`, the place of each id among them; U where it is none.
        vectors, bias: `[D, U]` and `[U]`, see `OutputProjection.of_ids`.
    """

    ids: Tensor
    allowed: Tensor
    places: Tensor
    vectors: Tensor
    bias: Tensor

    @classmethod
    def of(cls, moves: Projects, allowed: Tensor, size: Any) -> Candidates:
        """Collects the ids that any source may have.

        Args:
            moves: the network.
            allowed: bool `[B, V]`.
            size: U, as many as these ids or more; it is filled up with ids that no source may have.
        """
        whole = allowed.shape[-1]
        wanted = ops.any(allowed, axis=0)
        every = ops.arange(whole, dtype="int32")
        # Those that are wanted first, both in ascending order.
        ids = ops.sort(ops.where(wanted, every, every + whole))[:size] % whole
        places = ops.cumsum(ops.cast(wanted, "int32")) - 1
        places = ops.where(wanted, places, ops.cast(size, "int32"))
        return cls(ids, ops.take(allowed, ids, axis=1), places, *moves.of_ids(ids))


def fewest_candidates(sampler: Sampler, plan: Plan, vocabulary_size: int) -> int | None:
    """Returns how many candidates a step needs at least; None where a strategy or a rule takes
    scores of all ids only.
    """
    if not all_take_candidates((sampler, *plan.processors)):
        return None
    fewest = sampler.fewest_scores(plan)
    return fewest if fewest <= vocabulary_size else None


def among_all(logits: Tensor, candidates: Candidates) -> Tensor:
    """Puts logits of candidates to the places of their ids.

    Args:
        logits: float32 `[R, U]`.
        candidates: of the batch.

    Returns:
        float32 `[R, V]`; `FORBIDDEN` for ids that are no candidates.
    """
    nothing = ops.full_like(logits[:, :1], FORBIDDEN)
    return ops.take(ops.concatenate([logits, nothing], axis=1), candidates.places, axis=1)


def only_allowed(logits: Tensor, allowed: Tensor, width: int) -> Tensor:
    """Replaces logits `[B*K, U]` where `allowed` `[B, U]` is False by `FORBIDDEN`."""
    if width > 1:
        allowed = ops.repeat(allowed, width, axis=0)
    return ops.where(allowed, logits, ops.cast(FORBIDDEN, logits.dtype))
