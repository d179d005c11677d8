"""Generation options that a request names, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_s2s.config.nearest import did_you_mean
from keras_s2s.options.generation import OPTIONS
from keras_s2s.serving.errors import RequestError
from keras_s2s.serving.limits import Limits

#: Options that multiply the rows of a search.
_BEAMS = ("num_beams", "num_beam_groups", "num_return_sequences")
#: Options that set the number of steps.
_STEPS = ("max_length", "max_new_tokens", "min_length", "min_new_tokens")


def read_parameters(given: Any, limits: Limits) -> dict[str, Any]:
    """Returns the generation options of a request.

    Args:
        given: `parameters` of the request: options of `generate`, by name; None for none.
        limits: how many beams and ids a request may ask for.

    Raises:
        RequestError: 400: an unknown option, one that only Python code can give, or a value that
            it does not take or the server does not allow.

    Example:
        >>> read_parameters({"num_beams": 4}, Limits())
        {'num_beams': 4}
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise RequestError(
            400, f"parameters is {given!r}; expected an object with options of generate"
        )
    known = {name for name, option in OPTIONS.items() if not option.kind.python_only}
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            hint = did_you_mean(name, known) or "see the options of generate"
            raise RequestError(400, f"parameters: {name!r} is unknown; {hint}")
        if value is None:
            continue
        for names, most, what in (
            (_BEAMS, limits.max_beams, "beams"),
            (_STEPS, limits.max_result_ids, "ids of a result"),
        ):
            if name in names and isinstance(value, int | float) and value > most:
                raise RequestError(
                    400, f"parameters: {name}={value} asks for too many {what}; at most {most}"
                )
        if name == "glossary" and isinstance(value, str):
            raise RequestError(
                400, "parameters: glossary must be an object of terms; files are not read"
            )
        if name == "shortlist" and not isinstance(value, bool):
            raise RequestError(
                400,
                "parameters: shortlist must be true or false; files are named when the server "
                "starts (--shortlist)",
            )
        if name != "seed" and isinstance(value, int) and abs(value) >= 2**31:
            raise RequestError(400, f"parameters: {name}={value:.3g} is out of range")
        try:
            found[name] = OPTIONS[name].check(value)
        except (ValueError, TypeError) as error:
            raise RequestError(400, f"parameters: {error}") from None
    return found
