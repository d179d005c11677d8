"""Reads recipes, with changes from the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keras_s2s.catalog.folders import recipe_path
from keras_s2s.catalog.presets import load_entry
from keras_s2s.catalog.settings import Settings, collect_preset
from keras_s2s.catalog.strict_yaml import parse_yaml, read_yaml
from keras_s2s.config import ConfigError, PresetConfig, RecipeConfig


def load_recipe(
    name_or_path: str | Path,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    *,
    recipes: Path | None = None,
    zoo: Path | None = None,
) -> RecipeConfig:
    """Reads a recipe, and checks that its architecture fits the preset it starts from.

    Args:
        name_or_path: a name in the recipes folder, or the path of a YAML file.
        overrides: settings that win over the file's: a mapping with dotted keys, or
            `key=value` strings whose values are read as YAML.
        recipes: a recipes folder to use instead of the one that ships with the package.
        zoo: a zoo folder to use instead of the one that ships with the package.

    Raises:
        ConfigError: as `load_preset`; an override that is not valid is named as such.

    Example:
        >>> recipe = load_recipe("multi30k_en_de", ["data.dir=corpus", "training.epochs=3"])
        >>> recipe.training.epochs
        3
    """
    path = recipe_path(name_or_path, recipes=recipes)
    settings = Settings()
    data = read_yaml(path)
    if not isinstance(data, Mapping):
        raise ConfigError(f"{path}: expected a mapping of keys, got {type(data).__name__}")
    settings.add(data, str(path))
    for change, origin in _override_layers(overrides):
        settings.add(change, origin)
    recipe = settings.read(RecipeConfig, str(path))
    _check_model(recipe, settings, str(path), zoo)
    return recipe


def _check_model(recipe: RecipeConfig, settings: Settings, path: str, zoo: Path | None) -> None:
    """Raises an error for a recipe whose model is unknown, or whose architecture does not fit
    it.
    """
    if recipe.model is None:
        return  # its folders say what the model is
    is_folder = recipe.model.startswith("hf://") or Path(recipe.model).is_dir()
    if is_folder and recipe.is_tuned:
        return  # so does this one
    if is_folder:
        other = "text" if recipe.text is not None else "distillation.teacher_tokenizer"
        raise ConfigError(
            f"{settings.origins[('model',)]}: model: {recipe.model} has weights and a tokenizer of "
            f"its own, so that no other one is for it; leave {other} out, or name a zoo entry"
        )
    if recipe.is_tuned:
        _check_pointer(recipe.model, settings.origins[("model",)] or path, zoo)
        return
    try:
        preset = collect_preset(recipe.model, zoo)
    except ConfigError as error:
        raise ConfigError(f"{settings.origins[('model',)]}: model: {error}") from None
    preset.add({"architecture": recipe.architecture}, path)
    for keys, origin in settings.origins.items():
        if keys[0] == "architecture" and preset.origins.get(keys) == path:
            preset.origins[keys] = origin
            if keys in settings.written:
                preset.written[keys] = settings.written[keys]
    preset.read(PresetConfig, f"{path}: model {recipe.model} with the recipe's architecture")


def _check_pointer(name: str, origin: str, zoo: Path | None) -> None:
    """Raises an error for a zoo entry that has no weights to begin with."""
    try:
        entry = load_entry(name, zoo=zoo)
    except ConfigError as error:
        raise ConfigError(f"{origin}: model: {error}") from None
    if isinstance(entry, PresetConfig) and entry.source is None:
        raise ConfigError(
            f"{origin}: text: required, but missing: {name} describes an architecture without "
            "weights and without a tokenizer"
        )


def _override_layers(
    overrides: Mapping[str, Any] | Iterable[str],
) -> list[tuple[dict[str, Any], str]]:
    """Returns each override as settings, and the name of its origin for error messages."""
    if isinstance(overrides, Mapping):
        return [(_nest(str(key), value), f"override {key}") for key, value in overrides.items()]
    if isinstance(overrides, str):
        raise ConfigError(f"overrides must be a list of key=value strings, got {overrides!r}")
    layers = []
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not all(part.strip() for part in key.split(".")):
            raise ConfigError(
                f"--set {text}: expected key=value with a dotted key, e.g. training.epochs=3"
            )
        origin = f"--set {text}"
        layers.append((_nest(key.strip(), parse_yaml(value, origin=origin)), origin))
    return layers


def _nest(dotted: str, value: Any) -> dict[str, Any]:
    """Returns a dotted key and its value as nested mappings: `{"a": {"b": 1}}` for `a.b` and 1."""
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return value
