"""Values that a caller passed, refused by their name."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any


def whole(name: str, value: Any, least: int = 1) -> int:
    """`value`, which must be a whole number of at least `least`.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name}={value!r} must be a whole number of at least {least}")
    return int(value)


def hashable(what: str, value: Any, settings: Any) -> None:
    """See that `settings`, by which the programs of `value` are kept, have a hash.

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


def number(name: str, value: Any) -> float:
    """`value`, which must be a number.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name}={value!r} must be a number")
    return float(value)
