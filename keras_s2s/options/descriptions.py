"""Descriptions of the generation options: a docstring's, and the table of `docs/generation.md`."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

from keras_s2s.options.generation import OPTIONS, GenerationOption
from keras_s2s.options.kinds import Seed
from keras_s2s.options.strategies import WITH_DRAWS, WITH_PHRASES

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def used_by(option: GenerationOption) -> str:
    """Returns what uses an option, for documentation: strategies, a rule, or all."""
    if isinstance(option.kind, Seed):
        return ", ".join(WITH_DRAWS)
    if option.forces:
        return ", ".join(WITH_PHRASES)
    if option.strategies:
        return ", ".join(option.strategies)
    if option.chooses:
        return "the choice of a strategy"
    return "a rule" if option.rule else "all"


def options_table() -> str:
    """Returns the options as a table in Markdown, a line each."""
    lines = [
        "| option | values | default | used by | what it does |",
        "| --- | --- | --- | --- | --- |",
    ]
    for option in OPTIONS.values():
        default = "" if option.default is None else f"`{option.default!r}`"
        theirs = ""
        if option.huggingface not in (None, option.name):
            theirs = f" (Hugging Face: `{option.huggingface}`)"
        lines.append(
            f"| `{option.name}` | {option.kind.shown} | {default} | {used_by(option)} | "
            f"{option.meaning}{theirs} |"
        )
    return "\n".join(lines)


def describes_options(function: FunctionT) -> FunctionT:
    """Puts the options into a docstring, in the place of `{generation_options}`.

    Example:
        >>> @describes_options
        ... def generate(**generation_options):
        ...     '''Args:
        ...         {generation_options}
        ...     '''
    """
    place = "{generation_options}"
    for line in (function.__doc__ or "").splitlines():
        if line.strip() == place:
            indent = line[: line.index(place)]
            shown = [
                textwrap.fill(
                    _described(option),
                    width=100,
                    initial_indent=indent,
                    subsequent_indent=indent + "    ",
                    break_on_hyphens=False,
                )
                for option in OPTIONS.values()
            ]
            function.__doc__ = (function.__doc__ or "").replace(line, "\n".join(shown))
    return function


def _described(option: GenerationOption) -> str:
    default = "" if option.default is None else f" (default {option.default!r})"
    return f"{option.name}: {option.meaning}{default}. {option.detail}".rstrip()
