"""Scheduled sampling: the decoder reads its own outputs in a part of the training [Bengio 2015].

With teacher forcing a decoder reads true ids in training and its own outputs in generation, where
its mistakes lead to inputs that it has never seen. Scheduled sampling keeps a decoder input true
with a probability that falls from 1 in the course of the training; otherwise the decoder reads what
it chooses itself. `training/mixed_inputs.py` computes the mixture.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

import keras
from keras import ops

from keras_s2s.config import SpecialIds, TeacherForcingConfig
from keras_s2s.layers.recurrent.decoder import RecurrentDecoder
from keras_s2s.network import Network
from keras_s2s.training.mixed_inputs import CHOICES, METHODS, draw_numbers, kept_inputs
from keras_s2s.training.optimizers.inner_optimizers import main_optimizer
from keras_s2s.training.share_schedules import (
    ConstantShare,
    ExponentialDecay,
    InverseSigmoidDecay,
    LinearDecay,
    ShareSchedule,
    whole_number,
)
from keras_s2s.typing import Tensor

ChoiceName = Literal["argmax", "draw"]
MethodName = Literal["auto", "step_by_step", "two_pass"]


@keras.saving.register_keras_serializable("keras_s2s")
class ScheduledSampling:
    """Which decoder inputs of a training step are true, and what stands in place of the others.

    An argument of `Seq2SeqLM.compile(teacher_forcing=...)`. A coin is tossed for each token. The
    decoder start, padding, and ids that generation is forced to begin with (the target's language)
    are never replaced. Choices are made with the weights of the step, without dropout, and no
    gradient flows through them.

    Args:
        schedule: the share of true inputs by the optimiser's step: a `ShareSchedule`, or a number
            in [0, 1].
        choice: what the decoder reads otherwise: "argmax", the likeliest id, or "draw", an id drawn
            from the softmax of the logits.
        method: "step_by_step" runs the decoder as in generation, so that a choice depends on the
            choices before it [Bengio 2015]. "two_pass" takes the choices of all positions from one
            pass over the true inputs [Mihaylova and Martins 2019], in the time of another forward
            pass. "auto" is step by step for recurrent decoders, and two passes for others.
        seed: of coins and draws, below 2 ** 31. None draws one that
            `keras.utils.set_random_seed` determines.

    Raises:
        ValueError: an argument with a value that it does not take.

    Example:
        >>> sampling = ScheduledSampling(InverseSigmoidDecay(500), choice="draw")
        >>> model.compile("adam", teacher_forcing=sampling)
    """

    def __init__(
        self,
        schedule: ShareSchedule | float,
        *,
        choice: ChoiceName = "argmax",
        method: MethodName = "auto",
        seed: int | None = None,
    ) -> None:
        if not isinstance(schedule, ShareSchedule):
            if isinstance(schedule, bool) or not isinstance(schedule, int | float):
                raise ValueError(
                    f"schedule={schedule!r}: expected a number in [0, 1] or a schedule, such as "
                    "LinearDecay(steps), ExponentialDecay(rate) or InverseSigmoidDecay(k)"
                )
            schedule = ConstantShare(schedule)
        self.schedule = schedule
        self.choice = _one_of("choice", choice, ChoiceName)
        self.method = _one_of("method", method, MethodName)
        # As Keras' own seeds, so that `set_random_seed` governs this one, too.
        self.seed = random.randint(1, 10**9) if seed is None else whole_number("seed", seed, 0)
        if self.seed >= 2**31:
            raise ValueError(f"seed={seed} must lie below 2 ** 31")

    def method_for(self, network: Network) -> Literal["step_by_step", "two_pass"]:
        """Returns the method that "auto" means for a network."""
        if self.method != "auto":
            return self.method
        recurrent = isinstance(network.decoder, RecurrentDecoder)
        return "step_by_step" if recurrent else "two_pass"

    def decoder_inputs(
        self, network: Network, inputs: Mapping[str, Tensor], special_ids: SpecialIds, step: Tensor
    ) -> Tensor:
        """Returns the decoder inputs of a training step.

        Args:
            network: of the model.
            inputs: of the model, tensors, with the true `decoder_token_ids`, int `[B, T]`.
            special_ids: of the model.
            step: of the optimiser, a scalar.

        Returns:
            int32 `[B, T]`.
        """
        ids = ops.cast(inputs["decoder_token_ids"], "int32")
        mask = ops.cast(inputs["decoder_padding_mask"], "bool")
        coins, numbers = draw_numbers(ids, mask, self.seed, step)
        kept = kept_inputs(ids, mask, coins, self.schedule(step), special_ids)
        mix = METHODS[self.method_for(network)]
        return mix(network, inputs, kept, CHOICES[self.choice], numbers)

    def described(self, network: Network) -> str:
        """Returns the settings for a network in a line, for `training_report`."""
        if self == no_teacher_forcing(self.choice, self.seed):
            return f"no teacher forcing: the decoder reads its own outputs, choice={self.choice}"
        method = self.method_for(network)
        return (
            f"scheduled sampling: {self.schedule!r}, choice={self.choice}, {method}, "
            f"seed={self.seed}"
        )

    def get_config(self) -> dict[str, Any]:
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "choice": self.choice,
            "method": self.method,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ScheduledSampling:
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(**{**config, "schedule": schedule})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScheduledSampling) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return (self.schedule, self.choice, self.method, self.seed)

    def __repr__(self) -> str:
        """Returns the class with its arguments."""
        return (
            f"ScheduledSampling({self.schedule!r}, choice={self.choice!r}, "
            f"method={self.method!r}, seed={self.seed})"
        )


def no_teacher_forcing(choice: ChoiceName = "argmax", seed: int | None = None) -> ScheduledSampling:
    """Returns scheduled sampling in which no decoder input is true but the first."""
    return ScheduledSampling(0.0, choice=choice, method="step_by_step", seed=seed)


def as_sampling(teacher_forcing: Any) -> ScheduledSampling | None:
    """Returns what `compile(teacher_forcing=...)` means; None is teacher forcing.

    Args:
        teacher_forcing: True or 1, False or 0, a share of true inputs, a schedule of it, or a
            `ScheduledSampling`.

    Raises:
        ValueError: something else.
    """
    if isinstance(teacher_forcing, ScheduledSampling):
        return teacher_forcing
    if isinstance(teacher_forcing, ShareSchedule):
        return ScheduledSampling(teacher_forcing)
    if isinstance(teacher_forcing, int | float) and 0 <= teacher_forcing <= 1:
        if teacher_forcing == 1:
            return None
        return no_teacher_forcing() if not teacher_forcing else ScheduledSampling(teacher_forcing)
    raise ValueError(
        f"teacher_forcing={teacher_forcing!r}: expected True (the decoder reads true ids), False "
        "(it reads its own outputs), a share of true ids in [0, 1], a schedule of it such as "
        "LinearDecay(steps), or a ScheduledSampling"
    )


def make_sampling(
    config: TeacherForcingConfig, total_steps: int, seed: int
) -> ScheduledSampling | None:
    """Makes scheduled sampling from the settings of a recipe; None is teacher forcing.

    Args:
        config: schedule and choice.
        total_steps: optimiser steps of the whole run, where a linear schedule names none.
        seed: of the recipe.
    """
    falls: dict[str, Any] = {"end": config.end, "begin": config.begin}
    given: dict[str, Any] = {name: getattr(config, name) for name in ("share", "rate", "k")}
    if config.schedule == "always":
        return None
    if config.schedule == "never":
        return no_teacher_forcing(config.choice, seed)
    schedules: dict[str, Callable[[], ShareSchedule]] = {
        "constant": lambda: ConstantShare(given["share"]),
        "linear": lambda: LinearDecay(config.steps or max(1, total_steps), config.start, **falls),
        "exponential": lambda: ExponentialDecay(given["rate"], **falls),
        "inverse_sigmoid": lambda: InverseSigmoidDecay(given["k"], **falls),
    }
    return ScheduledSampling(
        schedules[config.schedule](), choice=config.choice, method=config.method, seed=seed
    )


# --------------------------------------------------------------------------------------
# In a training step
# --------------------------------------------------------------------------------------


def with_mixed_inputs(
    sampling: ScheduledSampling, model: Any, state: Sequence[Any], data: Any
) -> Any:
    """Returns the batch of a training step with the decoder inputs that are read in it.

    Args:
        sampling: what is mixed.
        model: a compiled model.
        state: the arguments of `train_step` before the batch: on JAX one, the values of variables;
            elsewhere none.
        data: the batch, `x`, `(x, y)` or `(x, y, sample_weight)`.
    """
    x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
    x = {name: ops.convert_to_tensor(value) for name, value in x.items()}
    with _values_of_the_step(model, state):
        step = ops.convert_to_tensor(main_optimizer(model.optimizer).iterations)
        ids = sampling.decoder_inputs(model.network, x, model.preset.special_ids, step)
    return keras.utils.pack_x_y_sample_weight({**x, "decoder_token_ids": ids}, y, weights)


@contextmanager
def _values_of_the_step(model: Any, state: Sequence[Any]) -> Iterator[None]:
    """Makes variables have the values of the step, without recording gradients.

    JAX passes values to a step, which is differentiated inside of `train_step`, as on TensorFlow;
    PyTorch records whatever is computed.
    """
    if keras.backend.backend() == "torch":
        import torch

        with torch.no_grad():
            yield
    elif state:
        trained, others, optimizer, _ = state[0]
        mapping = [
            *zip(model.trainable_variables, trained, strict=True),
            *zip(model.non_trainable_variables, others, strict=True),
            *zip(model.optimizer.variables, optimizer, strict=True),
        ]
        with keras.StatelessScope(state_mapping=mapping):
            yield
    else:
        yield


def _one_of(name: str, value: Any, literal: Any) -> Any:
    if value not in get_args(literal):
        names = ", ".join(map(repr, get_args(literal)))
        raise ValueError(f"{name}={value!r}: expected one of {names}")
    return value
