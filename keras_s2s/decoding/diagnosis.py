"""Finds the cause of logits that are not finite: bad weights, or a layer that overflows.

Logits are checked while they are computed, by a sum for each row (`Loop.advance`, `forced_pass`).
To find the cause, the pass is run again here, op by op, for one source.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s2s.decoding.forced_scoring import forced_pass
from keras_s2s.decoding.loop import Loop
from keras_s2s.layers.finite_checks import FiniteChecks, is_finite
from keras_s2s.layers.kernels import operations as kernels

#: Types with too few bits for the exponent, or the fraction, and what holds more.
WIDER = {
    "float16": "dtype='bfloat16' or dtype='float32' (mixed_bfloat16 in place of mixed_float16)",
    "bfloat16": "dtype='float32'",
}


class NonFiniteError(ValueError):
    """Raised for logits or weights that are NaN or infinite; the message names the layer and the
    remedy.
    """


class NonFiniteLogits(Exception):
    """Raised while generating: the logits of these sources are not finite.

    Attributes:
        places: of the sources.
        step: the number of the step before which it was found.
    """

    def __init__(self, places: Sequence[int], step: int) -> None:
        super().__init__(f"logits of the sources {list(places)} before step {step}")
        self.places = places
        self.step = step


def check_not_empty(lengths: np.ndarray, places: Sequence[int] | None = None) -> None:
    """Checks that the rules have left each source a sequence.

    Args:
        lengths: `[B, N]`.
        places: numbers of these sources among the caller's; None means 0, 1, ...

    Raises:
        ValueError: a source has none.
    """
    empty = np.flatnonzero(lengths.max(axis=1, initial=0) == 0)
    if empty.size:
        source = int(empty[0]) if places is None else places[empty[0]]
        raise ValueError(
            f"source {source}: the rules of this generation forbid every id at some step, so that "
            "no sequence is left. Loosen what forbids ids (suppress_tokens, bad_words_ids, "
            "no_repeat_ngram_size, processors of your own, a regex, json_schema or grammar whose "
            "characters the vocabulary lacks), or what forbids to end (min_length). A "
            "strategy of your own must not choose an id whose score is FORBIDDEN; with "
            "decoder_prefix every other id is"
        )


def while_generating(
    loop: Loop,
    inputs: Mapping[str, np.ndarray],
    steps: int,
    variables: Sequence[Any],
    dtype: str,
    what: str,
) -> NonFiniteError:
    """Returns the error for a source whose logits were not finite.

    Args:
        loop: of the generation.
        inputs: of `Loop.start`, of the one source.
        steps: as many as were taken.
        variables: all weights.
        dtype: that the network computes in.
        what: name of the source in messages.
    """

    def run() -> str | None:
        tensors = {name: ops.convert_to_tensor(value) for name, value in inputs.items()}
        if not is_finite(loop.moves.encode(tensors)):
            return "encoder"
        fixed, changing = loop.start(tensors, steps)
        for index in range(steps):
            changing = loop.advance(fixed, changing, index)
            if not bool(ops.all(loop.finite(changing))):
                return "decoder"
        return None

    return _error(run, variables, dtype, what)


def while_scoring(
    moves: Any, inputs: Mapping[str, np.ndarray], variables: Sequence[Any], dtype: str, what: str
) -> NonFiniteError:
    """Returns the error for a pair whose logits were not finite.

    Args:
        moves: a network.
        inputs: of `forced_pass`, of the one pair.
        variables: all weights.
        dtype: that the network computes in.
        what: name of the pair in messages.
    """

    def run() -> str | None:
        tensors = {name: ops.convert_to_tensor(value) for name, value in inputs.items()}
        if not is_finite(moves.encode(tensors)):
            return "encoder"
        forced_pass(moves, tensors, False)
        return "decoder"

    return _error(run, variables, dtype, what)


def _error(
    run: Callable[[], str | None], variables: Sequence[Any], dtype: str, what: str
) -> NonFiniteError:
    begin = f"{what}: the model's logits are not finite (NaN or infinite): "
    wrong = [v.path for v in variables if not is_finite([v.value])]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return NonFiniteError(
            begin + f"the weights {', '.join(wrong[:3])}{more} are not. Training has diverged, or "
            "a file was damaged: go back to a checkpoint before that, and train with a lower "
            "learning rate or clipped gradients"
        )
    checks = FiniteChecks()
    with kernels.use(checks), _without_gradients():
        part = run()
    dtype = checks.dtype or dtype
    place = checks.found or (f"the {part}" if part else "a layer that could not be found again")
    remedy = WIDER.get(dtype)
    if remedy is None:
        return NonFiniteError(
            begin + f"{place} passes what {dtype} holds. Weights this large are not those of a "
            "trained model; look at where they come from"
        )
    limit = " (65,504)" if dtype == "float16" else ""
    return NonFiniteError(
        begin + f"{place} passes what {dtype} holds{limit}; load the model with {remedy}"
    )


def _without_gradients() -> Any:
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()
