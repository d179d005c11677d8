"""Prompt lookup: greedy search that takes several ids at a step where they stand in the source.

What a near-copy (a correction, a post-edited text) says next mostly stands in its source. A step
drafts these ids, the decoder reads all of them at once, and as many are taken as greedy search
would have chosen one by one, with the id after them. So results are greedy search's, in fewer
steps.
"""

from __future__ import annotations

from keras import ops

from keras_s2s.options.generation import OPTIONS
from keras_s2s.samplers import processors
from keras_s2s.samplers.context import Sources
from keras_s2s.samplers.gather import entry, gather, put_span
from keras_s2s.samplers.log_probabilities import log_probabilities_at
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.processing import process
from keras_s2s.samplers.processors import FORBIDDEN
from keras_s2s.samplers.sampler import Draft, Verified
from keras_s2s.samplers.strategies.greedy import Greedy
from keras_s2s.typing import Tensor, Tree


class PromptLookup(Greedy):
    """Greedy search with drafts from the source [Sun 2021, Saxena 2023].

    The last ids of a result are looked for in its source, and what follows them there is drafted:
    the longest match, of several the nearest to where the last step left off. Without a match,
    that is where the draft is from, so that one id that was replaced does not stop the copying;
    where that fails, nothing is drafted until there is a match.

    Args:
        prompt_lookup_num_tokens: most ids that are drafted at a step.
        max_matching_ngram_size: most ids at the end of a result that are looked for.

    Example:
        >>> model.generate("ein Hund", prompt_lookup_num_tokens=5)
    """

    def __init__(
        self, prompt_lookup_num_tokens: int = 10, max_matching_ngram_size: int = 2
    ) -> None:
        self.prompt_lookup_num_tokens = OPTIONS["prompt_lookup_num_tokens"].check(
            prompt_lookup_num_tokens
        )
        self.max_matching_ngram_size = OPTIONS["max_matching_ngram_size"].check(
            max_matching_ngram_size
        )

    @property
    def drafts(self) -> int:  # type: ignore[override]
        return self.prompt_lookup_num_tokens

    def check(self, plan: Plan) -> None:
        own = {option.rule for option in OPTIONS.values() if option.rule} - {"AllowedTokens"}
        for rule in plan.processors:
            if type(rule) not in {getattr(processors, name) for name in own}:
                raise ValueError(
                    f"prompt_lookup_num_tokens={self.drafts} applies rules to several ids of a "
                    f"result at once, which {type(rule).__name__} is not made for (rules of your "
                    "own, prefix_allowed_tokens_fn, regex, json_schema and grammar are not); leave "
                    "prompt_lookup_num_tokens out, which changes no result"
                )

    def begin(self, sources: Sources, capacity: Tensor, plan: Plan, hidden_dim: int = 0) -> Tree:
        search = super().begin(sources, capacity, plan)
        return {
            **search,
            # Where in its source the next id of a result is expected.
            "places": ops.zeros_like(sources.places),
            # Whether the last step took something of its draft.
            "copying": ops.ones_like(sources.places, dtype="bool"),
        }

    def draft(self, search: Tree, plan: Plan, sources: Sources, vocabulary: int) -> Draft:
        ids = ops.cast(sources.ids, "int32")
        finished = search["finished"][:, 0]
        # A result that has ended takes nothing any more: anywhere will do.
        starts = ops.where(finished, 0, search["lengths"][:, 0])
        numbers = ops.arange(ops.shape(ids)[1], dtype="int32")[None]
        matched = self._matched(ids, search["token_ids"][:, 0], starts, numbers)
        expected = search["places"]
        distance = ops.abs(numbers - expected[:, None])
        # Longer matches first, then nearer ones.
        rank = matched * (2 * ops.shape(ids)[1] + ops.shape(search["token_ids"])[-1]) - distance
        rank = ops.where(sources.mask, rank, -(2**30))
        best = ops.cast(ops.argmax(rank, axis=1), "int32")
        found = entry(matched, best) > 0
        places = ops.where(found, best, expected)
        wanted = ops.logical_and(
            ops.logical_or(found, search["copying"]), ops.logical_not(finished)
        )

        there = places[:, None] + ops.arange(self.drafts, dtype="int32")
        length = ops.cast(ops.sum(ops.cast(sources.mask, "int32"), axis=1), "int32")
        drafted = gather(ids, ops.clip(there, 0, ops.shape(ids)[1] - 1))
        # Ids that the target's vocabulary lacks end a draft.
        real = ops.logical_and(there < length[:, None], drafted < vocabulary)
        real = ops.logical_and(real, wanted[:, None])
        counts = ops.cast(ops.sum(_unbroken(real), axis=1), "int32")
        return Draft(ops.where(real, drafted, 0), counts, starts, places)

    def _matched(self, ids: Tensor, history: Tensor, starts: Tensor, numbers: Tensor) -> Tensor:
        """Returns how many of a result's last ids stand before each id of its source: int32 `[B,
        S]`.
        """
        matched = ops.zeros_like(ids)
        so_far = ops.ones_like(ids, dtype="bool")
        for back in range(1, self.max_matching_ngram_size + 1):
            last = starts - back
            token = entry(history, ops.maximum(last, 0))[:, None]
            # A roll brings the id that stands `back` before each place to it.
            so_far = ops.logical_and(so_far, ops.roll(ids, back, axis=1) == token)
            there = ops.logical_and(numbers >= back, (last >= 0)[:, None])
            so_far = ops.logical_and(so_far, there)
            matched = matched + ops.cast(so_far, "int32")
        return matched

    def verify(
        self, search: Tree, logits: Tensor, draft: Draft, plan: Plan, sources: Sources
    ) -> Verified:
        batch, count, vocabulary = ops.shape(logits)
        steps = draft.starts[:, None] + ops.arange(count, dtype="int32")  # [B, T]
        index = ops.reshape(steps, (-1,))
        flat = ops.reshape(logits, (-1, vocabulary))  # [B, T, V] -> [B*T, V]
        # As they will be if all of the draft is taken; a rule reads what is before its own step.
        history = put_span(search["token_ids"][:, 0], draft.ids, draft.starts, draft.counts)
        shape = (batch, count, ops.shape(history)[-1])
        histories = ops.broadcast_to(history[:, None], shape)
        allowed = process(flat, histories, index, plan, sources)
        chosen = ops.reshape(self._chosen(allowed, index, sources), (-1, count))

        def of_chosen(scores: Tensor) -> Tensor:
            return ops.reshape(gather(scores, ops.reshape(chosen, (-1, 1))), (-1, count))

        places = ops.reshape(chosen, (-1, 1))
        log_probs = ops.reshape(log_probabilities_at(flat, places), (-1, count))
        ends = plan.ended(
            ops.reshape(chosen, (-1, 1)), ops.reshape(histories, (-1, 1, shape[-1])), index
        )
        ends = ops.reshape(ends, (-1, count))
        if plan.prefixed:
            ends = ops.logical_and(ends, steps >= sources.prefix_lengths[:, None])
        ends = ops.logical_or(ends, sources.limits[:, None] <= steps + 1)
        stuck = ops.zeros_like(ends)
        if plan.processors or plan.prefixed:  # as in `Greedy.advance`
            stuck = of_chosen(allowed) <= FORBIDDEN
            ends = ops.logical_or(ends, stuck)

        guessed = ops.arange(count - 1, dtype="int32")[None] < draft.counts[:, None]
        goes_on = ops.logical_and(draft.ids == chosen[:, :-1], guessed)
        goes_on = ops.logical_and(goes_on, ops.logical_not(ends[:, :-1]))
        finished = search["finished"][:, 0]
        taken = 1 + ops.cast(ops.sum(_unbroken(goes_on), axis=1), "int32")
        taken = ops.where(finished, 0, taken)
        mine = ops.arange(count, dtype="int32")[None] < taken[:, None]

        def any_taken(found: Tensor) -> Tensor:
            return ops.any(ops.logical_and(found, mine), axis=1)

        lengths = search["lengths"][:, 0] + taken
        lengths = ops.where(any_taken(stuck), 0, lengths)
        last = entry(chosen, ops.maximum(taken - 1, 0))
        finished = ops.logical_or(finished, any_taken(ends))

        def put(buffer: Tensor, values: Tensor) -> Tensor:
            return put_span(buffer[:, 0], values, draft.starts, taken)[:, None]

        new = {
            "token_ids": put(search["token_ids"], chosen),
            "log_probs": put(search["log_probs"], log_probs),
            "lengths": lengths[:, None],
            "finished": finished[:, None],
            "places": draft.places + taken,
            "copying": taken > 1,
        }
        tokens = ops.where(finished, ops.cast(plan.pad, "int32"), last)
        return Verified(new, tokens, taken)


def _unbroken(found: Tensor) -> Tensor:
    """Returns 1 at the places up to which all are True: int32 `[B, N]`."""
    return ops.cast(ops.cumprod(ops.cast(found, "int32"), axis=1), "int32")
