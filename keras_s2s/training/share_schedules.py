"""Schedules of the share of true decoder inputs, those of scheduled sampling [Bengio 2015, 2.4]."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, cast

import keras
from keras import ops

from keras_s2s.typing import Tensor


class ShareSchedule(ABC):
    """Base class of schedules: the share of true decoder inputs at a step of the optimiser.

    A subclass has `__call__` and `get_config`, as Keras' learning-rate schedules have.
    """

    @abstractmethod
    def __call__(self, step: Tensor) -> Tensor:
        """Returns the share at a step.

        Args:
            step: `optimizer.iterations`, a scalar tensor or an int.

        Returns:
            float32 scalar in [0, 1].
        """

    @abstractmethod
    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ShareSchedule:
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_config() == cast(Any, other).get_config()

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        """Returns the class with its arguments, but those that are 0."""
        config = {name: value for name, value in self.get_config().items() if value}
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in config.items())})"


@keras.saving.register_keras_serializable("keras_s2s")
class ConstantShare(ShareSchedule):
    """The same share of true decoder inputs at every step.

    Args:
        share: in [0, 1]; 1 is teacher forcing, 0 none of it.
    """

    def __init__(self, share: float) -> None:
        self.share = _between("share", share)

    def __call__(self, step: Tensor) -> Tensor:
        return ops.full((), self.share, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {"share": self.share}

    def __repr__(self) -> str:
        """Returns the class with its argument."""
        return f"ConstantShare(share={self.share})"


class _Decay(ShareSchedule):
    """A share that falls from a step on, to an end.

    Args:
        end: the least share, in [0, 1].
        begin: the first step that falls.
    """

    def __init__(self, end: float, begin: int) -> None:
        self.end = _between("end", end)
        self.begin = whole_number("begin", begin, 0)

    def __call__(self, step: Tensor) -> Tensor:
        since = ops.maximum(ops.cast(step, "float32") - float(self.begin), 0.0)
        return ops.maximum(self._share(since), self.end)

    def _share(self, step: Tensor) -> Tensor:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {"end": self.end, "begin": self.begin}


@keras.saving.register_keras_serializable("keras_s2s")
class LinearDecay(_Decay):
    """A share that falls along a line: `max(end, start - (start - end) * step / steps)`.

    Args:
        steps: of the optimiser, until `end` is reached.
        start: the first share, in [0, 1].
        end: the last share, in [0, `start`].
        begin: steps before the first that falls.

    Example:
        >>> schedule = LinearDecay(1000, end=0.5)
        >>> float(schedule(500))
        0.75
    """

    def __init__(self, steps: int, start: float = 1.0, end: float = 0.0, begin: int = 0) -> None:
        super().__init__(end, begin)
        self.steps = whole_number("steps", steps, 1)
        self.start = _between("start", start)
        if self.end > self.start:
            raise ValueError(f"end={end} is above start={start}, but the share only falls")

    def _share(self, step: Tensor) -> Tensor:
        return self.start - (self.start - self.end) / self.steps * step

    def get_config(self) -> dict[str, Any]:
        # As in the constructor; `start` is left out where it is 1, as in most schedules.
        start = {} if self.start == 1.0 else {"start": self.start}
        return {"steps": self.steps, **start, **super().get_config()}


@keras.saving.register_keras_serializable("keras_s2s")
class ExponentialDecay(_Decay):
    """A share that falls exponentially: `max(end, rate ** step)`.

    Args:
        rate: in (0, 1), near 1: 0.999 halves the share every 693 steps.
        end: the least share, in [0, 1].
        begin: steps before the first that falls.
    """

    def __init__(self, rate: float, end: float = 0.0, begin: int = 0) -> None:
        super().__init__(end, begin)
        self.rate = _number("rate", rate)
        if not 0.0 < self.rate < 1.0:
            raise ValueError(f"rate={rate} must lie in (0, 1)")

    def _share(self, step: Tensor) -> Tensor:
        return ops.exp(step * math.log(self.rate))

    def get_config(self) -> dict[str, Any]:
        return {"rate": self.rate, **super().get_config()}


@keras.saving.register_keras_serializable("keras_s2s")
class InverseSigmoidDecay(_Decay):
    """A share that stays near 1, falls fast, and stays near 0: `max(end, k / (k + exp(step / k)))`.

    Args:
        k: at least 1. The share is a half after `k * log(k)` steps.
        end: the least share, in [0, 1].
        begin: steps before the first that falls.
    """

    def __init__(self, k: float, end: float = 0.0, begin: int = 0) -> None:
        super().__init__(end, begin)
        self.k = _number("k", k)
        if not 1.0 <= self.k < math.inf:
            raise ValueError(f"k={k} must be a number of at least 1")

    def _share(self, step: Tensor) -> Tensor:
        # The same as the formula, without a power that overflows.
        return ops.sigmoid(math.log(self.k) - step / self.k)

    def get_config(self) -> dict[str, Any]:
        return {"k": self.k, **super().get_config()}


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name}={value!r} must be a number")
    return float(value)


def _between(name: str, value: Any) -> float:
    number = _number(name, value)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{name}={value} must lie in [0, 1]")
    return number


def whole_number(name: str, value: Any, least: int) -> int:
    """Returns a whole number after checking it; `name` is for the message."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}={value!r} must be a whole number of at least {least}")
    return value
