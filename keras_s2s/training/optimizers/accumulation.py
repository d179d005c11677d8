"""Gradients that are accumulated over several batches, each token with the same weight.

With `gradient_accumulation_steps=A` an optimiser of Keras adds the gradients of A batches up and
divides by A. The gradient of a batch is a mean over its tokens, so that a token would count the
more, the fewer tokens its batch has. Here a step is one on the mean over the tokens of all A
batches, as if they were one batch.

Let N be the tokens of the batches before, and n those of this one. Before its step the sum that
Keras keeps is multiplied with `N / (N + n)`, and the gradient of its loss with `A n / (N + n)`. So
the sum is A times the mean over all tokens so far, after each batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
from keras import ops

from keras_s2s.training.data_parallel import gradient_share, replicas, summed
from keras_s2s.training.losses.token_weights import token_weights
from keras_s2s.training.optimizers.inner_optimizers import inner_optimizers
from keras_s2s.typing import Tensor

#: What the gradient of the loss of the running step is multiplied with.
_FACTOR: ContextVar[Tensor | None] = ContextVar("gradient_factor", default=None)


class TokenAccumulation:
    """Weights the batches of a step by their tokens.

    Args:
        optimizer: of a compiled model. It gets a variable, the tokens so far, which is saved with
            its state.
        steps: batches whose gradients are accumulated.
    """

    def __init__(self, optimizer: Any, steps: int) -> None:
        self.optimizer = optimizer
        self.steps = steps
        if getattr(optimizer, "_accumulated_tokens", None) is None:
            optimizer._accumulated_tokens = optimizer.add_variable(
                shape=(), initializer="zeros", dtype="float32", name="accumulated_tokens"
            )

    @contextmanager
    def step(self, state: Sequence[Any], data: Any) -> Iterator[list[Any]]:
        """Prepares the optimiser for a batch; `with_factor` is for its loss within the context.

        Args:
            state: the arguments of `train_step` before the batch: on JAX one, the values of
                variables; elsewhere none.
            data: the batch, `x`, `(x, y)` or `(x, y, sample_weight)`.

        Yields:
            `state` with the values of the optimiser that the step begins with.
        """
        tokens = tokens_of(data)
        total = summed(tokens)
        share = gradient_share(tokens, total)
        tokens = total  # those of all replicas are in the sums that Keras keeps
        if state:
            trained, others, values, metrics = state[0]
            variables = self.optimizer.variables
            mapping = list(zip(variables, values, strict=True))
            with keras.StatelessScope(state_mapping=mapping) as scope:
                factor = self._count(tokens)
                values = [scope.get_current_value(variable) for variable in variables]
            state = [(trained, others, values, metrics)]
        else:
            factor = self._count(tokens)
        if share is not None:
            factor = factor * share
        token = _FACTOR.set(factor)
        try:
            yield list(state)
        finally:
            _FACTOR.reset(token)

    def _count(self, tokens: Tensor) -> Tensor:
        """Adds the tokens of a batch; returns the factor of its gradient."""
        # Not `iterations`, which counts whole steps; and those that were applied, as float16 leaves
        # out batches whose gradients overflow.
        counted = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        batches = ops.convert_to_tensor(counted._iterations)
        goes_on = ops.cast(ops.not_equal(batches % self.steps, 0), "float32")
        before = goes_on * ops.convert_to_tensor(self.optimizer._accumulated_tokens)
        total = before + tokens
        share = ops.divide_no_nan(before, total)
        for each in inner_optimizers(self.optimizer):
            for sums in each._accumulated_gradients if each.built else ():
                sums.assign(sums * ops.cast(share, sums.dtype))
        self.optimizer._accumulated_tokens.assign(total)
        return ops.divide_no_nan(self.steps * tokens, total)


def tokens_of(data: Any) -> Tensor:
    """Returns the sum of the weights of a batch, a scalar.

    Args:
        data: `x`, `(x, y)` or `(x, y, sample_weight)`.
    """
    _, weights = token_weights(*keras.utils.unpack_x_y_sample_weight(data))
    return ops.sum(weights)


@contextmanager
def share_of_replica(data: Any) -> Iterator[None]:
    """Gives the loss within it the gradient that the replica's share of all tokens has."""
    if replicas() == 1:
        yield
        return
    tokens = tokens_of(data)
    token = _FACTOR.set(gradient_share(tokens, summed(tokens)))
    try:
        yield
    finally:
        _FACTOR.reset(token)


def with_factor(loss: Tensor) -> Tensor:
    """Returns a loss of the same value, whose gradient has the factor of the running step."""
    factor = _FACTOR.get()
    if factor is None:
        return loss
    value = ops.stop_gradient(loss)
    return value + ops.cast(factor, loss.dtype) * (loss - value)


def token_accumulation(optimizer: Any) -> TokenAccumulation | None:
    """Returns how the optimiser of a compiled model accumulates; None where it does not.

    Raises:
        ValueError: optimisers of groups that accumulate over different numbers of batches.
    """
    if optimizer is None:
        return None
    counts = {each.gradient_accumulation_steps or 1 for each in inner_optimizers(optimizer)}
    if len(counts) > 1:
        raise ValueError(
            "the optimisers of groups have different gradient_accumulation_steps "
            f"({', '.join(map(str, sorted(counts)))}); give all of them the same"
        )
    (steps,) = counts
    return TokenAccumulation(optimizer, steps) if steps > 1 else None
