"""Adds the options of `generate` to the command line, from the table of options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

import typer

from keras_s2s.options.generation import OPTIONS, GenerationOption
from keras_s2s.options.kinds import Choice

CommandT = TypeVar("CommandT", bound=Callable[..., None])


def takes_generation_options(command: CommandT) -> CommandT:
    """Adds an option to a command for each generation option, in place of its `**options`.

    Options whose values are objects of Python have none.

    Example:
        >>> import typer
        >>> app = typer.Typer()
        >>> @app.command()
        ... @takes_generation_options
        ... def generate(model: str, **options: Any) -> None:
        ...     print(read_generation_options(options))
    """
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    added = [
        inspect.Parameter(
            option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_typed(option)
        )
        for option in OPTIONS.values()
        if not option.kind.python_only
    ]
    # Typer reads the signature.
    command.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    return command


def _typed(option: GenerationOption) -> Any:
    words = option.kind.words
    flag = f"{option.flag}/--no-{option.flag[2:]}" if words is bool else option.flag
    meaning = option.meaning[0].upper() + option.meaning[1:]
    shown = f"{meaning} ({option.kind.written})." if words is str else f"{meaning}."
    return Annotated[words | None, typer.Option(flag, help=shown)]


def call_options(options: Mapping[str, Any], **own: Any) -> dict[str, Any]:
    """Returns the keywords of a call of `generate`.

    Args:
        options: what `read_generation_options` returned.
        **own: arguments that are not in the table of options; those that are None are left out.
    """
    return {**options, **{name: value for name, value in own.items() if value is not None}}


def read_generation_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options that were written, as `generate` takes them.

    Args:
        given: what Typer read for the options that `takes_generation_options` added; None is
            what was not written.

    Raises:
        ValueError: a value that its option does not take.
    """
    from keras_s2s.config.nearest import did_you_mean

    options = {}
    for name, written in given.items():
        if written is not None:
            kind = OPTIONS[name].kind
            value = kind.parse(OPTIONS[name].flag, written)
            if isinstance(kind, Choice) and value not in kind.choices:
                hint = did_you_mean(value, kind.choices) or f"one of {kind.shown}"
                raise ValueError(f"{OPTIONS[name].flag} {value!r} is unknown; {hint}")
            OPTIONS[name].check(value)
            options[name] = value
    return options
