"""Beam search for results that have given phrases: dynamic beam allocation.

[Post and Vilar 2018](https://arxiv.org/abs/1804.06609), with sets of phrases of which one must
occur, as in [Hu et al. 2019](https://aclanthology.org/N19-1090).
"""

from __future__ import annotations

from keras import ops

from keras_s2s.samplers.blockwise_top_k import top_k
from keras_s2s.samplers.context import Sources
from keras_s2s.samplers.gather import gather
from keras_s2s.samplers.log_probabilities import log_probabilities
from keras_s2s.samplers.phrases import Phrases, Progress
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.processing import in_prefix, process
from keras_s2s.samplers.processors import FORBIDDEN, forbid, is_token
from keras_s2s.samplers.sampler import Advance
from keras_s2s.samplers.strategies.beam import NOTHING, Beam, Continuations, alive, ended
from keras_s2s.typing import Tensor, Tree


class ConstrainedBeam(Beam):
    """Beam search for results in which each of a source's constraints is met.

    A constraint is a set of phrases of which one must occur. The candidates of a step are the
    likeliest ids of each hypothesis, and the ids that continue its phrases. They are put into banks
    by the number of ids that they have of what is asked for, and the banks take turns in choosing
    the K that stay alive, the one that has most first. EOS is chosen only where all constraints are
    met. No hypothesis is kept that could not meet them within its source's limit, so that all
    results do.

    Without constraints it is `Beam`. The phrases come with a call (`force_words`,
    `force_words_ids`, `glossary`).

    Args:
        num_beams, length_penalty, early_stopping, num_return_sequences: as in `Beam`.
        length_normalization, coverage_penalty: as in `Beam`.

    Raises:
        ValueError: for values outside their ranges.

    Example:
        >>> model.generate("ein Hund", sampler=ConstrainedBeam(4), force_words=["the"])
        'the dog'
    """

    reads_phrases = True

    def begin(self, sources: Sources, capacity: Tensor, plan: Plan, hidden_dim: int = 0) -> Tree:
        search = super().begin(sources, capacity, plan)
        count = ops.shape(sources.phrases.phrase_ids)[1]
        shape = (ops.shape(sources.places)[0], self.num_beams, count)
        search["live"]["matched"] = ops.zeros(shape, dtype="int32")
        search["live"]["occurred"] = ops.zeros(shape, dtype="bool")
        return search

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
        step = super().advance(search, logits, index, plan, sources, attention=attention)
        tokens = ops.reshape(step.tokens, (-1, self.num_beams))
        parents = ops.reshape(step.parents, (-1, self.num_beams)) % self.num_beams
        progress = _progress(search).of(parents).after(tokens, sources.phrases)
        live = {**step.search["live"], **progress._asdict()}
        return step._replace(search={**step.search, "live": live})

    def _continuations(
        self, search: Tree, logits: Tensor, index: Tensor, plan: Plan, sources: Sources
    ) -> Continuations:
        """Returns the K best that may end, and K that stay alive."""
        live, beams, phrases = search["live"], self.num_beams, sources.phrases
        scores, ids, raw = self._candidates(search, logits, index, plan, sources)
        width = ops.shape(scores)[-1]
        total = self._accumulated(live, scores, width)
        total, places = ops.top_k(total, beams * width)  # best first
        every = Continuations(total, *self._at(places, ids, raw, width))

        progress = _progress(search).of(every.parents).after(every.tokens, phrases)
        needed = progress.needed(phrases)
        left = (sources.limits - ops.cast(index, "int32") - 1)[:, None]
        total = ops.where(needed <= left, total, ops.full_like(total, NOTHING))
        ends = ended(live, every, index, plan, sources)

        # Of those that meet all constraints, the first K may end.
        met = ops.logical_and(needed == 0, total > NOTHING)
        early = _rank(met) < beams
        over = ops.logical_or(ends, sources.at_limit(index)[:, None])
        ending = ops.logical_and(ops.logical_and(met, early), over)
        # The banks take turns: first the best of each, then the second of each, and so on.
        lives = ops.logical_and(total > NOTHING, ops.logical_not(ends))
        turn = _rank_in_bank(lives, needed) * (1 + _most(phrases)) + needed
        some_end, of_ended = _first(ending, _rank(ending), beams)
        some_live, of_alive = _first(lives, turn, beams)
        chosen = ops.concatenate([of_ended, of_alive], axis=1)
        usable = ops.concatenate([some_end, some_live], axis=1)
        kept = Continuations(*[gather(values, chosen) for values in every._replace(scores=total)])
        scores = ops.where(usable, kept.scores, ops.full_like(kept.scores, NOTHING))
        return kept._replace(scores=scores)

    def _candidates(
        self, search: Tree, logits: Tensor, index: Tensor, plan: Plan, sources: Sources
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns scores, ids and log-probabilities of each hypothesis' candidates, `[R, N]`."""
        raw = log_probabilities(logits)
        tokens = search["live"]["token_ids"]
        allowed = process(raw, tokens, index, plan, sources, alive(search))
        progress, phrases = _progress(search), sources.phrases
        wanted_ids, wanted = progress.next_tokens(phrases)
        too_early = ops.any(wanted, axis=-1)
        given = in_prefix(sources, index, plan)
        if given is not None:
            too_early = ops.logical_and(too_early, ops.logical_not(given)[:, None])
        too_early = ops.reshape(too_early, (-1, 1))
        eos = is_token(allowed, plan.ends)
        allowed = forbid(allowed, ops.logical_and(eos, too_early))

        likely, ids = top_k(allowed, min(self.continuations_kept(plan), logits.shape[-1]))
        ids = ops.cast(ids, "int32")
        count = ops.shape(wanted)[-1]
        wanted_ids = ops.reshape(wanted_ids, (-1, count))
        wanted = ops.reshape(wanted, (-1, count))
        # Each id is one candidate, however often it is wanted.
        twice = wanted_ids[:, :, None] == wanted_ids[:, None]
        places = ops.arange(count, dtype="int32")
        earlier = places[:, None] > places[None]
        twice = ops.logical_and(ops.logical_and(twice, earlier[None]), wanted[:, None])
        there = ops.any(wanted_ids[:, :, None] == ids[:, None], axis=-1)
        twice = ops.logical_or(ops.any(twice, axis=-1), there)
        wanted = ops.logical_and(wanted, ops.logical_not(twice))
        scores = forbid(gather(allowed, wanted_ids), ops.logical_not(wanted))
        ids = ops.concatenate([ids, wanted_ids], axis=1)
        return ops.concatenate([likely, scores], axis=1), ids, gather(raw, ids)


def _progress(search: Tree) -> Progress:
    live = search["live"]
    return Progress(live["matched"], live["occurred"])


def _most(phrases: Phrases) -> Tensor:
    """Returns how many ids the constraints of each source need at most: int32 `[B, 1]`."""
    lengths = ops.where(phrases.first, phrases.shortest, ops.zeros_like(phrases.phrase_lengths))
    return ops.sum(lengths, axis=1, keepdims=True)


def _rank(mask: Tensor) -> Tensor:
    """Returns the place of each entry among those of `mask [B, N]`, from 0."""
    return ops.cumsum(ops.cast(mask, "int32"), axis=1) - 1


def _rank_in_bank(mask: Tensor, banks: Tensor) -> Tensor:
    """Returns the place of each entry among those of `mask [B, N]` in the same bank."""
    count = ops.shape(banks)[1]
    places = ops.arange(count, dtype="int32")
    before = (places[:, None] > places[None])[None]
    same = ops.logical_and(banks[:, :, None] == banks[:, None], before)
    same = ops.logical_and(same, mask[:, None])
    return ops.sum(ops.cast(same, "int32"), axis=-1)


def _first(mask: Tensor, order: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Returns `count` entries of `mask [B, N]` that are first in `order`, and which of them exist.

    Returns:
        bool and int32 `[B, count]`.
    """
    keys = ops.where(mask, -ops.cast(order, "float32"), ops.cast(FORBIDDEN, "float32"))
    places = ops.cast(ops.top_k(keys, count)[1], "int32")
    return gather(mask, places), places
