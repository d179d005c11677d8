"""Diverse beam search: groups of beams that are penalised for repeating earlier groups."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from keras import ops

from keras_s2s.options.generation import DEFAULTS, checked
from keras_s2s.options.strategies import STRATEGIES
from keras_s2s.samplers.agreement import agreed
from keras_s2s.samplers.blockwise_top_k import top_k
from keras_s2s.samplers.context import Sources
from keras_s2s.samplers.gather import gather
from keras_s2s.samplers.log_probabilities import log_probabilities
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.processing import process
from keras_s2s.samplers.processors import occurrences
from keras_s2s.samplers.sampler import Advance, Result, Sampler
from keras_s2s.samplers.strategies.beam import Beam, alive
from keras_s2s.typing import Tensor, Tree


class DiverseBeam(Sampler):
    """Diverse beam search: groups of beams that avoid the ids of earlier groups [Vijayakumar 2016].

    The groups take each step one after the other. A group's log-probabilities are lowered by
    `diversity_penalty` for every beam of an earlier group that has just taken the same id
    (Hamming diversity). Within itself each group is a beam search; the hypotheses of all groups
    are ranked together in the end, by scores that include the penalties, as in transformers 4
    (release 5 has no such search of its own).

    Args:
        num_beams: K, of all groups together.
        num_beam_groups: G; must divide K.
        diversity_penalty: subtracted from an id's score for each earlier beam that chose it at
            this step.
        length_penalty, early_stopping, num_return_sequences: as in `Beam`.
        length_normalization, coverage_penalty: as in `Beam`.

    Raises:
        ValueError: for values outside their ranges.

    Example:
        >>> model.generate("ein Hund", sampler=DiverseBeam(4, num_beam_groups=2))
    """

    def __init__(
        self,
        num_beams: int = STRATEGIES["diverse_beam"].defaults["num_beams"],
        *,
        num_beam_groups: int = STRATEGIES["diverse_beam"].defaults["num_beam_groups"],
        diversity_penalty: float = DEFAULTS.diversity_penalty,
        length_penalty: float = DEFAULTS.length_penalty,
        early_stopping: bool | Literal["never", "shrink"] = DEFAULTS.early_stopping,
        num_return_sequences: int = DEFAULTS.num_return_sequences,
        length_normalization: str = DEFAULTS.length_normalization,
        coverage_penalty: float = DEFAULTS.coverage_penalty,
    ) -> None:
        search = Beam(
            num_beams,
            length_penalty=length_penalty,
            early_stopping=early_stopping,
            num_return_sequences=num_return_sequences,
            length_normalization=length_normalization,
            coverage_penalty=coverage_penalty,
        )  # refuses what is out of range
        num_beam_groups = checked("num_beam_groups", num_beam_groups)
        if num_beams % num_beam_groups:
            raise ValueError(
                f"num_beams={num_beams} is not a multiple of num_beam_groups={num_beam_groups}"
            )
        self.num_beams = search.num_beams
        self.num_beam_groups = num_beam_groups
        self.diversity_penalty = checked("diversity_penalty", diversity_penalty)
        self.length_penalty = search.length_penalty
        self.early_stopping = search.early_stopping
        self.num_return_sequences = search.num_return_sequences
        self.length_normalization = search.length_normalization
        self.coverage_penalty = search.coverage_penalty

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
        return agreed(list(search.values()), index)

    @property
    def _group(self) -> Beam:
        """The search within one group."""
        beams = self.num_beams // self.num_beam_groups
        return Beam(
            beams,
            length_penalty=self.length_penalty,
            early_stopping=self.early_stopping,
            num_return_sequences=beams,
            length_normalization=self.length_normalization,
            coverage_penalty=self.coverage_penalty,
        )

    def check(self, plan: Plan) -> None:
        self._group.check(plan)

    def begin(self, sources: Sources, capacity: Tensor, plan: Plan, hidden_dim: int = 0) -> Tree:
        return {
            f"group_{g}": self._group.begin(sources, capacity, plan)
            for g in range(self.num_beam_groups)
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
        group, vocabulary = self._group, logits.shape[-1]
        beams, width = group.num_beams, min(group.continuations_kept(plan), logits.shape[-1])
        log_probs = log_probabilities(logits)
        log_probs = ops.reshape(log_probs, (-1, self.num_beams, vocabulary))
        after: dict[str, Any] = {}
        tokens: list[Any] = []
        parents: list[Any] = []
        taken = ops.zeros_like(log_probs[:, :1])  # by how many beams of earlier groups
        for g in range(self.num_beam_groups):
            part, first = search[f"group_{g}"], g * beams
            own = log_probs[:, first : first + beams]
            raw = ops.reshape(own, (-1, vocabulary))
            allowed = ops.reshape(own - self.diversity_penalty * taken, (-1, vocabulary))
            live = part["live"]
            allowed = process(allowed, live["token_ids"], index, plan, sources, alive(part))
            row_scores, row_ids = top_k(allowed, width)
            best = group.ranked(live, row_scores, row_ids, gather(raw, row_ids), plan)
            seen = None
            if attention is not None:  # [R, S'] -> [B, K, S']
                of_all = ops.reshape(attention, (-1, self.num_beams, ops.shape(attention)[-1]))
                seen = of_all[:, first : first + beams]
            step = group.proceed(part, best, index, plan, sources, seen)
            after[f"group_{g}"] = step.search
            tokens.append(ops.reshape(step.tokens, (-1, beams)))
            parents.append(ops.reshape(step.parents, (-1, beams)) % beams + first)
            # A group that has stopped chooses no more ids.
            counts = ops.broadcast_to(
                ops.logical_not(part["stopped"])[:, None], ops.shape(tokens[-1])
            )
            counts = occurrences(tokens[-1], counts, vocabulary)
            taken = taken + ops.cast(counts, "float32")[:, None]
        offsets = ops.arange(ops.shape(taken)[0], dtype="int32")[:, None] * self.num_beams
        return Advance(
            after,
            ops.reshape(ops.concatenate(tokens, axis=1), (-1,)),
            ops.reshape(ops.concatenate(parents, axis=1) + offsets, (-1,)),
        )

    def finished(self, search: Tree) -> Tensor:
        stopped = [self._group.finished(part) for part in search.values()]
        return ops.all(ops.stack(stopped, axis=1), axis=1)

    def finish(self, search: Tree, plan: Plan) -> Result:
        names = [f"group_{g}" for g in range(self.num_beam_groups)]
        found = [self._group.finish(search[name], plan) for name in names]
        every = Result(*[ops.concatenate(parts, axis=1) for parts in zip(*found, strict=True)])
        best = ops.cast(ops.top_k(every.scores, self.num_return_sequences)[1], "int32")
        return Result(*[gather(part, best) for part in every])
