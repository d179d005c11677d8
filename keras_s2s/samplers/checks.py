"""Checks of values that a caller passed, with messages that name them."""

from __future__ import annotations

from typing import Any

from keras_s2s.options.kinds import number, whole

__all__ = ["hashable", "number", "whole"]


def hashable(what: str, value: Any, settings: Any) -> None:
    """Checks that `settings`, which identify the programs of `value`, can be hashed.

    Raises:
        TypeError: they have none.
    """
    try:
        hash(settings)
    except TypeError as error:
        raise TypeError(
            f"{what} {type(value).__name__} has no hash ({error}), but what is compiled for it is "
            "kept by its settings: hold tuples in place of lists, and write a rule as "
            "@dataclass(frozen=True)"
        ) from error
