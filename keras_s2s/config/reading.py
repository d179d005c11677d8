"""Reads a configuration, and explains what is wrong with an invalid one."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union

from pydantic import BaseModel, ValidationError

from keras_s2s.config.errors import ConfigError, KeyPath, Misfit
from keras_s2s.config.merging import merge
from keras_s2s.config.nearest import close_words, either
from keras_s2s.config.parts.registry import REGISTERED, TAG
from keras_s2s.config.parts.shared import shared_keys
from keras_s2s.config.strict import Strict

ConfigT = TypeVar("ConfigT", bound=Strict)


def read_config(
    cls: type[ConfigT],
    data: Any,
    *,
    origin: str,
    origins: Mapping[KeyPath, str] | None = None,
    written: Mapping[KeyPath, KeyPath] | None = None,
) -> ConfigT:
    """Validates `data` as a configuration of class `cls`.

    Args:
        cls: the configuration class.
        data: what a YAML reader returned.
        origin: where it came from (a file name), for the error message.
        origins: origins of keys, given as paths, that came from elsewhere (a base, the command
            line).
        written: paths at which keys were written before `data` was made from them (under
            `shared`, or in another format; see `shared_keys`). Keys under `shared` in `data`
            itself need not be listed.

    Raises:
        ConfigError: every problem on a line of its own, with file, key, value and, for an
            unknown key or a value outside a closed set, the nearest valid one.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{origin}: expected a mapping of keys, got {type(data).__name__}")
    try:
        return cls.model_validate(data)
    except ValidationError as error:
        written = {
            **shared_keys(data),
            **shared_keys(data.get("architecture"), ("architecture",)),
            **(written or {}),
        }
        lines = _lines(cls, error.errors(), origin, origins or {}, written, data)
        raise ConfigError(
            f"{origin}: not a valid {cls.__name__}\n" + "\n".join(f"  {line}" for line in lines)
        ) from None


def _lines(
    cls: type[BaseModel],
    problems: Iterable[Any],
    origin: str,
    origins: Mapping[KeyPath, str],
    written: Mapping[KeyPath, KeyPath],
    data: Any,
) -> list[str]:
    """Returns a line for each problem; a problem that both sides have from `shared` is named
    once.
    """
    sides: dict[str, set[Any]] = {}
    for problem in problems:
        keys, message = _explain(cls, problem, data)
        place = written.get(keys, keys)
        came_from = origins.get(keys, origin)
        dotted = ".".join(str(key) for key in place) or "(top level)"
        line = f"{dotted}: {message}" + ("" if came_from == origin else f" [from {came_from}]")
        # Where a key was moved from `shared`, its path differs in one place: the side.
        alike = len(place) == len(keys)
        moved = (
            [key for key, shown in zip(keys, place, strict=True) if key != shown] if alike else ()
        )
        sides.setdefault(line, set()).update(moved)
    return [
        f"{line} (in the {next(iter(names))})" if len(names) == 1 else line
        for line, names in sides.items()
    ]


def _explain(cls: type[BaseModel], problem: Any, data: Any) -> tuple[KeyPath, str]:
    """Returns the key that a problem is about, as a path, and its explanation."""
    # A discriminated union adds its tag to the location; the user did not write it.
    owner, keys = _walk(cls, [part for part in problem["loc"]], data)
    if problem["type"] == "extra_forbidden":
        valid = sorted(owner.model_fields) if owner else []
        close = _nearest(keys[-1], valid)
        hint = f"did you mean {close!r}?" if close else f"valid keys: {', '.join(valid)}"
        return keys, f"unknown key; {hint}"
    if problem["type"] == "missing":
        declared = owner.model_fields.get(keys[-1]) if owner else None
        meaning = declared.description if declared else None
        # Of an id, say, that nobody set.
        return keys, "required, but missing" + (f"; set it. {meaning}" if meaning else "")
    field = owner.model_fields.get(keys[-1]) if owner and keys else None
    if problem["type"] in ("union_tag_not_found", "union_tag_invalid"):
        models = _models(field.annotation) if field else []
        return _explain_tag(models, keys, problem["input"])
    value = problem.get("input")
    choices = _choices(_annotation(owner, keys))
    if problem["type"] in ("literal_error", "bool_type", "bool_parsing") and choices:
        return keys, _explain_choice(value, choices)
    error = problem.get("ctx", {}).get("error")
    if isinstance(error, Misfit):
        return (*keys, *error.keys), str(error)
    message = problem["msg"].removeprefix("Value error, ")
    return keys, message + ("" if isinstance(value, Mapping | BaseModel) else f" (got {value!r})")


def _explain_tag(
    models: list[type[BaseModel]], keys: KeyPath, value: Mapping[str, Any]
) -> tuple[KeyPath, str]:
    """Returns the explanation for a part whose `type` is missing, misspelt or unknown."""
    if not isinstance(value, Mapping):
        return keys, f"expected a mapping of keys (got {value!r})"
    tags = [tag for model in models if (tag := _tag(model)) is not None]
    tags += REGISTERED.get(keys[-1], {})
    if "type" in value:
        message = _explain_choice(value["type"], tags)
        if keys[-1] in REGISTERED and "did you mean" not in message:
            message += f"; one of your own is registered first (keras_s2s.register_{keys[-1]})"
        return (*keys, "type"), message
    known = {name for model in models for name in model.model_fields}
    unknown = [str(key) for key in value if key not in known]
    if close := _nearest("type", unknown):
        return (*keys, close), "unknown key; did you mean 'type'?"
    return (*keys, "type"), f"required, but missing; expected {either(tags)}"


def _explain_choice(value: Any, choices: Sequence[Any]) -> str:
    """Returns the explanation for a value that is not one of the choices."""
    close = _nearest(value, [choice for choice in choices if isinstance(choice, str)])
    hint = f"; did you mean {close!r}?" if close else ""
    return f"expected {either(choices)} (got {value!r}){hint}"


def _nearest(written: Any, valid: Sequence[str]) -> str | None:
    """Returns the valid word that looks most like the written one, or None."""
    close = close_words(str(written).lower().replace("-", "_"), valid)
    return close[0] if close else None


def _annotation(owner: type[BaseModel] | None, keys: KeyPath) -> Any:
    """Returns the annotation of the field that the last name in `keys` names."""
    names = [key for key in keys if isinstance(key, str)]
    field = owner.model_fields.get(names[-1]) if owner and names else None
    return field.annotation if field else None


def _choices(annotation: Any) -> list[Any]:
    """Returns all choices of the `Literal` types inside an annotation; none where any value is
    valid.
    """
    if annotation is bool:
        return [True, False]
    if typing.get_origin(annotation) is Literal:
        return list(typing.get_args(annotation))
    return [choice for part in typing.get_args(annotation) for choice in _choices(part)]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Returns every configuration class inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (Union, types.UnionType, Annotated):
        return [model for arg in typing.get_args(annotation) for model in _models(arg)]
    return []


def _mapped_models(annotation: Any) -> list[type[BaseModel]]:
    """Returns every configuration class that is the value of a mapping with keys of any name."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is dict:
        return _models(arguments[1])
    return [model for argument in arguments for model in _mapped_models(argument)]


def _walk(
    cls: type[BaseModel], location: list[Any], data: Any
) -> tuple[type[BaseModel] | None, KeyPath]:
    """Returns the class that owns the last name of `location`, and the keys without union tags.

    Args:
        cls: the class of the whole configuration.
        location: pydantic's path to a value.
        data: what was validated; it says which registered part is meant.
    """
    owner: type[BaseModel] | None = cls
    candidates: list[type[BaseModel]] = [cls]
    mapped: list[type[BaseModel]] = []
    keys: list[Any] = []
    for part in location:
        if mapped:  # a key that the user chose
            keys.append(part)
            candidates, mapped = mapped, []
            continue
        if part == TAG and keys and keys[-1] in REGISTERED:
            named = _at(data, keys)
            found = REGISTERED[keys[-1]].get(str(named.get("type"))) if named else None
            candidates = [found] if found is not None else []
            continue
        tagged = [model for model in candidates if _tag(model) == part]
        if len(candidates) > 1 and tagged:
            candidates = tagged
            continue
        if isinstance(part, int):  # an element of the field before it
            keys.append(part)
            continue
        if keys and not candidates:  # the member of a union of plain values: bool | Literal
            continue
        owner = candidates[0] if candidates else None
        keys.append(part)
        field = owner.model_fields.get(part) if owner else None
        candidates = _models(field.annotation) if field else []
        mapped = _mapped_models(field.annotation) if field else []
    return owner, tuple(keys)


def _at(data: Any, keys: Sequence[Any]) -> Mapping[str, Any] | None:
    """Returns the mapping at `keys`, with what its side has from `shared`; None where none is."""
    shared: Any = None
    for key in keys:
        if isinstance(data, Mapping):
            shared, data = data.get("shared"), data.get(key)
        else:
            return None
    parts = [part for part in (shared, data) if isinstance(part, Mapping)]
    return merge(*[{}, *parts][-2:]) if parts else None


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("type")
    args = typing.get_args(field.annotation) if field else ()
    return args[0] if len(args) == 1 else None
