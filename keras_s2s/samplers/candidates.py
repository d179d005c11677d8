"""Restricts the ids that a draw may choose from: temperature, top-k, top-p and min-p."""

from __future__ import annotations

from keras import ops

from keras_s2s.options.generation import checked
from keras_s2s.samplers.blockwise_top_k import top_k
from keras_s2s.samplers.processors import FORBIDDEN, forbid
from keras_s2s.typing import Tensor

#: Below this temperature scores are counted from the best one.
COLD = 1e-3
#: The least temperature: below it only the order of scores matters.
COLDEST = 1e-30


class Shortlist:
    """The settings of samplers that draw, applied in the order of the arguments.

    Args:
        temperature: divides the scores; below 1 sharpens, above 1 flattens.
        top_k: keep the k likeliest ids [Fan 2018]; None or 0 keeps all.
        top_p: keep the likeliest ids that together have this probability, the one that reaches
            it included [Holtzman 2020].
        min_p: drop ids less likely than this share of the likeliest one's probability
            [Nguyen 2024].
        keep: ids that are kept in any case.
    """

    def __init__(
        self,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        min_p: float | None,
        keep: int = 1,
    ) -> None:
        self.temperature = checked("temperature", temperature)
        # None, like the values that change nothing, is off.
        self.top_k = None if top_k is None else checked("top_k", top_k) or None
        self.top_p = None if top_p is None else checked("top_p", top_p)
        self.top_p = None if self.top_p == 1 else self.top_p
        self.min_p = None if min_p is None else checked("min_p", min_p) or None
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
            return self._likely_enough(scores), None
        count = vocabulary if self.top_k is None else min(max(self.top_k, self.keep), vocabulary)
        scores, ids = top_k(scores, count)
        dropping = scores
        if self.top_p is not None:
            probabilities = ops.softmax(scores, axis=-1)
            before = ops.cumsum(probabilities, axis=-1) - probabilities
            dropping = forbid(scores, before >= self.top_p)
        dropping = self._likely_enough(dropping)
        kept = (ops.arange(count, dtype="int32") < self.keep)[None]
        return ops.where(kept, scores, dropping), ids

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
