"""Results that follow a grammar, whose parser runs on the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from keras import ops

from keras_s2s.samplers.context import Step
from keras_s2s.samplers.host_callback import host_callback
from keras_s2s.samplers.processors import LogitsProcessor, forbid
from keras_s2s.typing import Tensor


class Acceptor(Protocol):
    """What a grammar allows (`text.grammar_tokens.GrammarTokens`)."""

    def allowed(self, before: Sequence[int], ids: Sequence[int]) -> np.ndarray:
        """Returns which ids may follow `ids`, after a prefix `before`: bool `[V]`."""

    def matches(self, text: str) -> bool:
        """Returns whether a text is one of the grammar."""


@dataclass(frozen=True)
class FollowsGrammar(LogitsProcessor):
    """Allows only ids with which the text after the prefix can still be one of a grammar.

    Attributes:
        digest: of grammar and vocabulary; rules with the same are equal.
        acceptor: is asked at each step, for all rows in one call of Python.
    """

    on_host = True

    digest: str
    acceptor: Acceptor = field(compare=False, repr=False)

    def __call__(self, scores: Tensor, step: Step, plan: Any) -> Tensor:
        def forbidden(tokens: Any, prefixes: Any, asked: Any, index: Any) -> np.ndarray:
            banned = np.zeros((len(tokens), vocabulary), bool)
            for i in np.flatnonzero(asked):
                begin = int(prefixes[i])
                ids = tokens[i].tolist()
                banned[i] = ~self.acceptor.allowed(ids[:begin], ids[begin : int(index)])
            return banned

        vocabulary = scores.shape[-1]
        index = ops.cast(step.index, "int32")
        prefixes = step.of_rows(step.sources.prefix_lengths)
        asked = index >= prefixes
        if step.alive is not None:
            asked = ops.logical_and(asked, step.alive)
        arguments = (step.tokens, prefixes, asked, index)
        return forbid(scores, host_callback(forbidden, arguments, like=scores))
