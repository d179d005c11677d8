"""The rule whose allowed ids a Python function of the caller returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_s2s.samplers.context import Step
from keras_s2s.samplers.host_callback import host_callback
from keras_s2s.samplers.processors.base import LogitsProcessor
from keras_s2s.samplers.processors.operations import forbid
from keras_s2s.typing import Tensor


@dataclass(frozen=True)
class AllowedTokens(LogitsProcessor):
    """Allows only ids that a Python function returns [De Cao 2021].

    The function runs on the host at every step, on every backend. A rule that can be written
    with `keras.ops` is faster as a `LogitsProcessor` of your own, and can be exported.

    Args:
        function: called with the place of a source among the caller's and its sequence so far
            (a 1-D int32 array, the decoder start in front); returns the ids allowed next, at
            least one. It is not called for sequences that have ended, nor within a given prefix.
    """

    on_host = True

    function: Callable[[int, np.ndarray], Iterable[int]]

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        vocabulary = scores.shape[-1]

        def forbidden(history: Tensor, rows: Tensor, asked: Any, index: Tensor) -> np.ndarray:
            banned = np.zeros((len(history), vocabulary), bool)
            for i in np.flatnonzero(asked):
                ids = history[i, : int(index) + 1]
                banned[i] = True
                banned[i, self._allowed(int(rows[i]), ids, vocabulary)] = False
            return banned

        history, _ = step.history()
        index, sources = ops.cast(step.index, "int32"), step.sources
        rows, asked = map(step.of_rows, (sources.places, index >= sources.prefix_lengths))
        if step.alive is not None:
            asked = ops.logical_and(asked, step.alive)
        arguments = (history, rows, asked, index)
        return forbid(scores, host_callback(forbidden, arguments, like=scores))

    def _allowed(self, row: int, ids: np.ndarray, vocabulary: int) -> np.ndarray:
        allowed = np.asarray(list(self.function(row, ids)), int)
        if not len(allowed):
            raise ValueError(
                f"the function of allowed ids allows none for source {row} after {ids.tolist()}; "
                "it must return at least one, EOS where the sequence may only end"
            )
        if allowed.min() < 0 or allowed.max() >= vocabulary:
            raise ValueError(
                f"the function of allowed ids returned {allowed.tolist()} for source {row}; ids "
                f"of this vocabulary go from 0 to {vocabulary - 1}"
            )
        return allowed
