"""The decoding loop of strategies that draft ids: steps of several positions, of each source its
own.

A source takes one id or more at a step, so that sources of a batch have different lengths after the
same number of steps. Each knows its own: the number of a step counts for nothing but how many there
are at most. The room that a batch has is that of its longest result.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_s2s.decoding.candidates import Candidates, among_all, only_allowed
from keras_s2s.decoding.loop import Loop
from keras_s2s.layers.kernels.readable_values import readable
from keras_s2s.layers.state import State
from keras_s2s.samplers.sampler import Draft
from keras_s2s.typing import Tensor, Tree


class DraftedLoop(Loop):
    """The decoding loop of a network and a sampler that drafts ids (`Sampler.drafts`)."""

    looks_for_room = True

    def advance(
        self, fixed: Tree, changing: Tree, index: Tensor, candidates: Candidates | None = None
    ) -> Tree:
        """Takes one step: reads the last id and the draft of each source, and takes what the
        sampler chooses of it.
        """
        (sources, source), (search, tokens, beam, finite) = fixed, changing
        vocabulary = self.moves.vocabulary_size
        draft = _needed(self.sampler.draft(search, self.plan, sources, vocabulary))
        some: dict[str, Any] = {}
        if candidates:
            some["output_ids"] = (candidates.vectors, candidates.bias)
        tokens = ops.concatenate([tokens[:, None], draft.ids], axis=1)
        count = tokens.shape[1]
        logits, state = self.moves.step_several(tokens, State(source, beam), draft.starts, **some)
        logits = ops.cast(logits, "float32")
        here = ops.isfinite(ops.sum(logits, axis=-1))  # [B, T]
        if self.plan.shortlisted:
            flat = ops.reshape(logits, (-1, ops.shape(logits)[-1]))
            if candidates:
                flat = among_all(only_allowed(flat, candidates.allowed, count), candidates)
            else:
                flat = only_allowed(flat, sources.allowed, count)
            logits = ops.reshape(flat, (-1, count, vocabulary))
        verified = self.sampler.verify(search, logits, draft, self.plan, sources)
        # What follows an id that was not taken is of no account.
        unused = ops.arange(count, dtype="int32")[None] >= verified.taken[:, None]
        finite = ops.logical_and(finite, ops.all(ops.logical_or(here, unused), axis=1))
        return verified.search, verified.tokens, state.beam, finite

    def full(self, changing: Tree) -> Tensor:
        search = changing[0]
        room = ops.shape(search["token_ids"])[-1]
        needed = search["lengths"] + (1 + self.sampler.drafts)
        return ops.any(ops.logical_and(needed > room, ops.logical_not(search["finished"])))


def _needed(draft: Draft) -> Draft:
    """Returns a draft without ids that no source has, where Python runs the step on a CPU (PyTorch)
    and it costs nothing to know: a step then costs as much as the longest draft.
    """
    if not readable(draft.counts):
        return draft
    return draft._replace(ids=draft.ids[:, : int(draft.counts.max())])
