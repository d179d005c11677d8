"""Beam sampling: beam search that draws continuations instead of taking the best."""

from __future__ import annotations

from typing import Literal

from keras import ops

from keras_s2s.options.generation import DEFAULTS
from keras_s2s.options.strategies import STRATEGIES
from keras_s2s.samplers.blockwise_top_k import top_k
from keras_s2s.samplers.context import Sources
from keras_s2s.samplers.gather import gather
from keras_s2s.samplers.log_probabilities import log_probabilities
from keras_s2s.samplers.plan import Plan
from keras_s2s.samplers.processing import process
from keras_s2s.samplers.random_numbers import gumbel
from keras_s2s.samplers.strategies.beam import Beam, Continuations, alive
from keras_s2s.samplers.warper import COLD, LogitsWarper, WarpsLogits
from keras_s2s.typing import Tensor, Tree


class BeamSample(WarpsLogits, Beam):
    """Beam sampling: draws 2K continuations of a source at each step (more where several ids end
    a sequence), then continues as beam search.

    They are drawn without replacement, in proportion to the exponential of the accumulated
    score, as transformers does with `num_beams` and `do_sample`. Scores are the accumulated
    log-probabilities after the temperature. A source's draws depend on its own seed alone.

    Args:
        num_beams, length_penalty, early_stopping, num_return_sequences: as in `Beam`.
        length_normalization, coverage_penalty: as in `Beam`.
        temperature, top_k, top_p, min_p, typical_p, epsilon_cutoff, eta_cutoff: as in `Random`; at
            least two ids of each beam stay (more where several ids end a sequence), so that one can
            continue when the others end. A
            temperature below 0.001 counts as 0.001, since float32 sums of scores would lose their
            differences.

    Example:
        >>> model.generate("ein Hund", sampler=BeamSample(4, temperature=0.8), seed=1)
    """

    def __init__(
        self,
        num_beams: int = STRATEGIES["beam_sample"].defaults["num_beams"],
        *,
        length_penalty: float = DEFAULTS.length_penalty,
        early_stopping: bool | Literal["never", "shrink"] = DEFAULTS.early_stopping,
        num_return_sequences: int = DEFAULTS.num_return_sequences,
        temperature: float = DEFAULTS.temperature,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        typical_p: float | None = None,
        epsilon_cutoff: float | None = None,
        eta_cutoff: float | None = None,
        length_normalization: str = DEFAULTS.length_normalization,
        coverage_penalty: float = DEFAULTS.coverage_penalty,
    ) -> None:
        super().__init__(
            num_beams,
            length_penalty=length_penalty,
            early_stopping=early_stopping,
            num_return_sequences=num_return_sequences,
            length_normalization=length_normalization,
            coverage_penalty=coverage_penalty,
        )
        self._warp_with(
            LogitsWarper(temperature, top_k, top_p, min_p, typical_p, epsilon_cutoff, eta_cutoff)
        )

    @property
    def draws(self) -> bool:
        return True

    def _continuations(
        self, search: Tree, logits: Tensor, index: Tensor, plan: Plan, sources: Sources
    ) -> Continuations:
        live, raw = search["live"], log_probabilities(logits)
        allowed = process(raw, live["token_ids"], index, plan, sources, alive(search))
        warper = self.warper(temperature=max(self.temperature, COLD), keep=1 + len(plan.ends))
        row_scores, row_ids = warper(allowed)
        width = row_scores.shape[-1]
        if row_ids is None:
            row_ids = ops.broadcast_to(ops.arange(width, dtype="int32")[None], ops.shape(raw))
        row_raw = gather(raw, row_ids)

        total = self._accumulated(live, row_scores, width)
        # A candidate's draw belongs to its beam and id, not to its place in the list.
        beams = ops.arange(self.num_beams, dtype="int32")[None, :, None]
        own = ops.reshape(row_ids, (-1, self.num_beams, width)) + beams * logits.shape[-1]
        noise = gumbel(sources.seeds, index, ops.reshape(own, (-1, self.num_beams * width)))
        _, places = top_k(total + noise, min(self.continuations_kept(plan), self.num_beams * width))
        return Continuations(gather(total, places), *self._at(places, row_ids, row_raw, width))
