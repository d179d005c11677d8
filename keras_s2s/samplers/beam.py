"""Beam search. Live hypotheses and finished ones are kept apart.

The search is the one of transformers 5 (`GenerationMixin._beam_search`), so that scores and
n-best lists mean the same: each step ranks the 2K best continuations of a source; those among
the first K that end in EOS compete for the K places of finished hypotheses by their
length-normalised score; the best K that do not end live on. A finished hypothesis is never
extended, and a live one never displaces it.
"""

from __future__ import annotations

from typing import Any, Literal

from keras import ops

from keras_s2s.samplers.sampler import Advance, Plan, Result, Sampler, log_softmax, process, put

#: Score of an empty place. Finite, so that differences between two stay finite.
NOTHING = -1e9


class Beam(Sampler):
    """Keeps the `num_beams` best hypotheses of each source.

    Args:
        num_beams: K.
        length_penalty: finished hypotheses are ranked by the sum of their log-probabilities
            over length to this power; above 0 favours longer ones.
        early_stopping: True stops a source once K hypotheses are finished; False stops when no
            live one is likely to do better, judged at its present length; "never" only when
            none can.
        num_return_sequences: hypotheses returned for each source, best first.

    Raises:
        ValueError: for values outside these ranges.

    Example:
        >>> model.generate("ein Hund", sampler=Beam(4, length_penalty=0.6))
    """

    def __init__(
        self,
        num_beams: int = 4,
        *,
        length_penalty: float = 1.0,
        early_stopping: bool | Literal["never"] = False,
        num_return_sequences: int = 1,
    ) -> None:
        if not isinstance(num_beams, int):
            raise ValueError(f"num_beams={num_beams!r} must be a whole number")
        if num_beams < 1:
            raise ValueError(f"num_beams={num_beams} must be at least 1")
        if early_stopping not in (True, False, "never"):
            raise ValueError(f"early_stopping={early_stopping!r} must be True, False or 'never'")
        if not 1 <= num_return_sequences <= num_beams:
            raise ValueError(
                f"num_return_sequences={num_return_sequences} must lie between 1 and "
                f"num_beams={num_beams}"
            )
        self.num_beams = num_beams
        self.length_penalty = float(length_penalty)
        self.early_stopping = early_stopping
        self.num_return_sequences = num_return_sequences

    def begin(self, batch: Any, plan: Plan, seeds: Any = None) -> Any:
        shape = (batch, self.num_beams)
        empty = ops.full(shape, NOTHING, dtype="float32")
        # One beam starts with a score, so that the first step does not find K equal ones.
        first = ops.arange(self.num_beams, dtype="int32") == 0
        start = ops.where(first, ops.zeros_like(empty), empty)

        def buffers() -> dict[str, Any]:
            return {
                "token_ids": ops.full((*shape, plan.steps), plan.pad, dtype="int32"),
                "log_probs": ops.zeros((*shape, plan.steps), dtype="float32"),
            }

        return {
            "live": {**buffers(), "scores": start},
            "done": {
                **buffers(),
                "scores": empty,
                "lengths": ops.zeros(shape, dtype="int32"),
                "ended": ops.zeros(shape, dtype="bool"),
            },
            "stopped": ops.zeros((batch,), dtype="bool"),
        }

    def advance(self, search: Any, logits: Any, index: Any, plan: Plan) -> Advance:
        live, done = search["live"], search["done"]
        beams, batch = self.num_beams, ops.shape(live["scores"])[0]
        length = ops.cast(index, "int32") + 1  # ids of a hypothesis after this step

        # 1. The 2K best continuations of each source: its K beams' 2K best, then the best of
        #    those. Two for each beam, since each beam can end in at most one way.
        raw = log_softmax(logits)
        flat = ops.reshape(live["token_ids"], (-1, plan.steps))
        allowed = process(raw, flat, index, plan)
        width = min(2 * beams, logits.shape[-1])
        row_scores, row_ids = ops.top_k(allowed, width)  # [R, width]
        row_raw = ops.take_along_axis(raw, row_ids, axis=-1)
        scores = ops.reshape(row_scores, (-1, beams, width)) + live["scores"][:, :, None]
        scores, places = ops.top_k(
            ops.reshape(scores, (-1, beams * width)), min(2 * beams, beams * width)
        )  # [B, 2K]
        places = ops.cast(places, "int32")
        parents = places // width
        tokens = ops.take_along_axis(
            ops.reshape(ops.cast(row_ids, "int32"), (-1, beams * width)), places, axis=1
        )
        token_log_probs = ops.take_along_axis(
            ops.reshape(row_raw, (-1, beams * width)), places, axis=1
        )

        # 2. Those that end now: by EOS, or because no further id fits.
        at_limit = ops.equal(length, plan.steps)
        ends = ops.logical_or(tokens == plan.eos, at_limit)

        # 3. The best K that do not end live on.
        live_scores, keep = ops.top_k(scores + ops.cast(ends, "float32") * NOTHING, beams)
        keep = ops.cast(keep, "int32")
        chosen_parents = ops.take_along_axis(parents, keep, axis=1)
        chosen_tokens = ops.take_along_axis(tokens, keep, axis=1)
        chosen_log_probs = ops.take_along_axis(token_log_probs, keep, axis=1)
        new_live = {
            "token_ids": put(_gather(live["token_ids"], chosen_parents), chosen_tokens, index),
            "log_probs": put(_gather(live["log_probs"], chosen_parents), chosen_log_probs, index),
            "scores": live_scores,
        }

        # 4. Those among the first K that end compete for the finished places. What grew from an
        #    empty beam, or against a rule, has no claim to one.
        ended = ops.logical_and(ends, (ops.arange(scores.shape[1], dtype="int32") < beams)[None])
        ended = ops.logical_and(ended, scores > NOTHING / 2)
        ended = ops.logical_and(ended, ops.logical_not(search["stopped"])[:, None])
        final = scores / self._length_norm(length)
        histories = {name: _gather(live[name], parents) for name in ("token_ids", "log_probs")}
        candidates = {
            "token_ids": put(histories["token_ids"], tokens, index),
            "log_probs": put(histories["log_probs"], token_log_probs, index),
            "scores": ops.where(ended, final, ops.full_like(final, NOTHING)),
            "lengths": ops.zeros_like(tokens) + length,
            "ended": ended,
        }
        both = {name: ops.concatenate([done[name], candidates[name]], axis=1) for name in done}
        _, best = ops.top_k(both["scores"], beams)
        new_done = {name: _gather(both[name], ops.cast(best, "int32")) for name in both}

        # 5. A source stops when no id fits any more, or nothing better is to be expected.
        stopped = ops.logical_or(search["stopped"], at_limit)
        stopped = ops.logical_or(
            stopped, ops.logical_not(self._can_improve(new_live, new_done, length, plan))
        )
        if self.early_stopping is True:
            stopped = ops.logical_or(stopped, ops.all(new_done["ended"], axis=1))

        offsets = ops.arange(batch, dtype="int32")[:, None] * beams
        return Advance(
            {"live": new_live, "done": new_done, "stopped": stopped},
            ops.reshape(chosen_tokens, (-1,)),
            ops.reshape(chosen_parents + offsets, (-1,)),
        )

    def _length_norm(self, length: Any) -> Any:
        """length ** length_penalty, a float32 scalar."""
        return ops.power(ops.cast(length, "float32"), self.length_penalty)

    def _can_improve(self, live: Any, done: Any, length: Any, plan: Plan) -> Any:
        """Whether the best live hypothesis of each source might enter the finished ones: `[B]`."""
        if self.early_stopping == "never" and self.length_penalty > 0:
            # Its score can only fall while it grows, but its norm is largest at full length.
            best = live["scores"][:, 0] / self._length_norm(plan.steps)
        else:
            best = live["scores"][:, 0] / self._length_norm(length)
        worst = ops.min(done["scores"], axis=1)
        return ops.logical_or(ops.logical_not(ops.all(done["ended"], axis=1)), best > worst)

    def finished(self, search: Any) -> Any:
        return search["stopped"]

    def finish(self, search: Any, plan: Plan) -> Result:
        done = {
            name: value[:, : self.num_return_sequences] for name, value in search["done"].items()
        }
        # Rules can leave fewer sequences than were asked for. A place without one is empty: what
        # stands there is a candidate that a rule forbids.
        ended = done["ended"]
        return Result(
            ops.where(ended[..., None], done["token_ids"], ops.cast(plan.pad, "int32")),
            ops.where(ended, done["lengths"], ops.zeros_like(done["lengths"])),
            ops.where(ended, done["scores"], ops.full_like(done["scores"], NOTHING)),
            ops.where(ended[..., None], done["log_probs"], ops.zeros_like(done["log_probs"])),
        )


def _gather(values: Any, places: Any) -> Any:
    """`values [B, N, ...]` at `places [B, M]`; `[B, M, ...]`."""
    places = ops.reshape(places, (*ops.shape(places), *[1] * (len(values.shape) - 2)))
    return ops.take_along_axis(values, places, axis=1)
