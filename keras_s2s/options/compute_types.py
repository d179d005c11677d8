"""The types in which decoding can multiply, other than that of the weights."""

from __future__ import annotations

from typing import Literal, get_args

#: How the matrix products of decoding are computed; None in its place: in the weights' own type.
ComputeType = Literal["int8", "bfloat16"]

COMPUTE_TYPES: tuple[str, ...] = get_args(ComputeType)


def check_name(compute_type: str | None, name: str = "compute_type=") -> None:
    """Raises an error for what is neither one of `COMPUTE_TYPES` nor None.

    Args:
        compute_type: the value.
        name: what it was given as, for the message.

    Raises:
        ValueError: there is no such type.
    """
    if compute_type is not None and compute_type not in COMPUTE_TYPES:
        known = ", ".join(COMPUTE_TYPES)
        raise ValueError(
            f"{name}{compute_type}: expected one of {known}; without it the weights' own type "
            "(dtype) is used"
        )
