"""The logits warper of samplers that draw: temperature, top-k, top-p, and the other cutoffs.

transformers calls each of these a warper; here one object applies them, in transformers' order.
Rules come before it (`processors/`), and the draw of an id after it (`random_numbers.py`).
"""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_s2s.options.generation import checked
from keras_s2s.samplers.blockwise_top_k import top_k
from keras_s2s.samplers.gather import gather
from keras_s2s.samplers.processors import FORBIDDEN, forbid
from keras_s2s.typing import Tensor

#: Below this temperature scores are counted from the best one.
COLD = 1e-3
#: The least temperature: below it only the order of scores matters.
COLDEST = 1e-30


class LogitsWarper:
    """Changes and cuts the distribution that ids are drawn from, in the order of the arguments.

    Args:
        temperature: divides the scores; below 1 sharpens, above 1 flattens.
        top_k: keep the k likeliest ids [Fan 2018]; None or 0 keeps all.
        top_p: keep the likeliest ids that together have this probability, the one that reaches
            it included [Holtzman 2020].
        min_p: drop ids less likely than this share of the likeliest one's probability
            [Nguyen 2024].
        typical_p: keep the ids whose log-probability is nearest to its expectation, minus the
            entropy, and that together have this probability [Meister 2023].
        epsilon_cutoff: drop ids less likely than this [Hewitt 2022].
        eta_cutoff: drop ids less likely than the smaller one of this and its square root times
            `exp(-entropy)` [Hewitt 2022].
        keep: ids that each of them keeps in any case.
    """

    def __init__(
        self,
        temperature: float,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        typical_p: float | None = None,
        epsilon_cutoff: float | None = None,
        eta_cutoff: float | None = None,
        *,
        keep: int = 1,
    ) -> None:
        self.temperature = checked("temperature", temperature)
        self.top_k = _unless("top_k", top_k, 0)
        self.top_p = _unless("top_p", top_p, 1)
        self.min_p = _unless("min_p", min_p, 0)
        self.typical_p = _unless("typical_p", typical_p, 1)
        self.epsilon_cutoff = _unless("epsilon_cutoff", epsilon_cutoff, 0)
        self.eta_cutoff = _unless("eta_cutoff", eta_cutoff, 0)
        self.keep = keep

    def __call__(self, scores: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns the scores of the candidates.

        Args:
            scores: float32 `[R, V]`, logits or log-probabilities.

        Returns:
            `(scores [R, N], ids int32 [R, N])`, best first; or all scores in the order of their
            ids, and None. Dropped ids among them have the score `FORBIDDEN`.
        """
        scores = self._warped(scores)
        vocabulary = scores.shape[-1]
        if self.top_k is None and self.top_p is None and (self.min_p is None or self.keep == 1):
            return self._cut(self._likely_enough(scores)), None
        count = vocabulary if self.top_k is None else min(max(self.top_k, self.keep), vocabulary)
        scores, ids = top_k(scores, count)
        dropping = scores
        if self.top_p is not None:
            probabilities = ops.softmax(scores, axis=-1)
            before = ops.cumsum(probabilities, axis=-1) - probabilities
            dropping = forbid(scores, before >= self.top_p)
        dropping = self._likely_enough(dropping)
        kept = (ops.arange(count, dtype="int32") < self.keep)[None]
        return self._cut(ops.where(kept, scores, dropping)), ids

    def _warped(self, scores: Tensor) -> Tensor:
        """Returns the scores divided by the temperature; forbidden ids stay forbidden."""
        if self.temperature == 1:
            return scores
        forbidden = scores <= FORBIDDEN
        if self.temperature < COLD:
            # Otherwise unlikely ids could become less likely than forbidden ones.
            scores = scores - ops.max(scores, axis=-1, keepdims=True)
        return forbid(scores / max(self.temperature, COLDEST), forbidden)

    def _likely_enough(self, scores: Tensor) -> Tensor:
        if self.min_p is None:
            return scores
        best = ops.max(scores, axis=-1, keepdims=True)
        return forbid(scores, ops.exp(scores - best) < self.min_p)

    def _cut(self, scores: Tensor) -> Tensor:
        """Drops what is not typical, and what is below the cutoffs, from `scores [R, N]`."""
        if self.typical_p is not None:
            scores = self._typical(scores, self.typical_p)
        if self.epsilon_cutoff is not None:
            scores = self._above(scores, self.epsilon_cutoff)
        if self.eta_cutoff is not None:
            entropy = -ops.sum(_surprisals(scores)[1], axis=-1, keepdims=True)
            flat = self.eta_cutoff**0.5 * ops.exp(-entropy)
            scores = self._above(scores, ops.minimum(flat, self.eta_cutoff))
        return scores

    def _typical(self, scores: Tensor, mass: float) -> Tensor:
        logs, weighted = _surprisals(scores)
        distance = ops.abs(logs - ops.sum(weighted, axis=-1, keepdims=True))
        distance = ops.where(scores > FORBIDDEN, distance, ops.cast(float("inf"), "float32"))
        count = scores.shape[-1]
        nearest, places = top_k(-distance, count)
        cumulative = ops.cumsum(ops.softmax(gather(scores, places), axis=-1), axis=-1)
        last = ops.sum(ops.cast(cumulative < mass, "int32"), axis=-1, keepdims=True)
        last = ops.minimum(ops.maximum(last, self.keep - 1), count - 1)
        return forbid(scores, distance > -gather(nearest, last))

    def _above(self, scores: Tensor, cutoff: Any) -> Tensor:
        """Drops ids whose probability is below `cutoff`, a number or `[R, 1]`."""
        if self.keep == 1:
            least = ops.max(scores, axis=-1, keepdims=True)
        else:
            least = top_k(scores, min(self.keep, scores.shape[-1]))[0][:, -1:]
        unlikely = ops.softmax(scores, axis=-1) < cutoff
        return forbid(scores, ops.logical_and(unlikely, scores < least))


class WarpsLogits:
    """Keeps the settings of a `LogitsWarper` as attributes, by which a sampler is compared."""

    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None
    typical_p: float | None
    epsilon_cutoff: float | None
    eta_cutoff: float | None

    def _warp_with(self, warper: LogitsWarper) -> None:
        for name in WarpsLogits.__annotations__:
            setattr(self, name, getattr(warper, name))

    def warper(self, **changes: Any) -> LogitsWarper:
        """Returns the warper of these settings, with `changes`."""
        own = {name: getattr(self, name) for name in WarpsLogits.__annotations__}
        return LogitsWarper(**{**own, **changes})


def _surprisals(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Returns log-probabilities, and each times its probability; 0 for forbidden ids."""
    logs = scores - ops.logsumexp(scores, axis=-1, keepdims=True)
    logs = ops.where(scores > FORBIDDEN, logs, ops.zeros_like(logs))
    return logs, logs * ops.softmax(scores, axis=-1)


def _unless(name: str, value: Any, neutral: float) -> Any:
    """Returns a checked option; None, which is off, also for the value that changes nothing."""
    value = None if value is None else checked(name, value)
    return None if value == neutral else value
