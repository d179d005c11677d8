"""Generation defaults of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model

from keras_s2s.config import strict
from keras_s2s.config.strict import Flag, Number, Strict
from keras_s2s.options.generation import OPTIONS, GenerationOption
from keras_s2s.options.kinds import (
    Choice,
    EndIds,
    Kind,
    Real,
    Seed,
    StartAndFactor,
    Switch,
    Text,
    Texts,
    TokenId,
    TokenIds,
    TokenLists,
    Whole,
)


def _annotation(kind: Kind) -> Any:
    """Returns the type of a field for values of a kind, as strict as the other configurations."""
    if isinstance(kind, Whole):
        return Annotated[int, Field(ge=kind.least, le=kind.most, strict=True)]
    if isinstance(kind, Real):
        return Annotated[
            Number,
            Field(gt=kind.above, ge=kind.least, lt=kind.below, le=kind.most, allow_inf_nan=False),
        ]
    if isinstance(kind, Switch):
        return Flag | Literal[kind.others] if kind.others else Flag
    if isinstance(kind, Choice):
        return Literal[kind.choices]
    return _OTHERS[type(kind)]


#: Types of fields for kinds without settings.
_OTHERS: dict[type[Kind], Any] = {
    Seed: Annotated[int, Field(strict=True)],
    Text: str,
    TokenId: strict.TokenId,
    TokenIds: list[int],
    Texts: str | Annotated[list[str], Field(min_length=1)],
    EndIds: strict.TokenId | Annotated[list[strict.TokenId], Field(min_length=1)],
    TokenLists: list[list[int]],
    StartAndFactor: tuple[
        Annotated[int, Field(ge=0, strict=True)],
        Annotated[Number, Field(gt=0, allow_inf_nan=False)],
    ],
}


def _field(option: GenerationOption) -> Any:
    """Returns the type and default of an option, as pydantic's `create_model` takes them.

    Raises:
        TypeError: its values are Python objects, which a configuration cannot hold.
    """
    if option.kind.python_only:
        raise TypeError(
            f"generation option {option.name}: a configuration cannot hold {option.kind.shown}; "
            "declare the option with configured=False in options/generation.py"
        )
    annotation = _annotation(option.kind)
    if option.default is None or option.nullable:
        annotation = annotation | None
    return annotation, Field(option.default, description=option.meaning)


_MEANING = """Defaults for `generate`, a field for each option of `options/generation.py`.

The names mean what they mean in Hugging Face's configuration; the forced ids belong to the
special ids.

Example:
    >>> GenerationConfig(num_beams=5, length_penalty=0.6).early_stopping
    False
"""

if TYPE_CHECKING:

    class GenerationConfig(Strict):
        def __init__(self, **options: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

else:
    GenerationConfig = create_model(
        "GenerationConfig",
        __base__=Strict,
        __module__=__name__,
        __doc__=_MEANING,
        **{option.name: _field(option) for option in OPTIONS.values() if option.configured},
    )
