"""Finds the zoo's presets and the recipes, and resolves what they are based on.

    zoo/families/NAME.yaml    how a family is built; a partial preset, not listed
    zoo/presets/NAME.yaml     `base:` and what differs from it
    recipes/NAME.yaml         training runs

The folders lie beside the package in a checkout, and inside it in an installed wheel.
`base:` names a family or a preset (`transformer`; `families/transformer` where a preset has the
same name), or the path of a YAML file as seen from the file that says it (`../my_base.yaml`).
"""

from __future__ import annotations

import contextlib
import copy
import difflib
import functools
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_s2s.config import (
    ConfigError,
    ConfigT,
    KeyPath,
    PointerConfig,
    PresetConfig,
    RecipeConfig,
    merge,
    read_config,
    shared_keys,
    spread_shared,
)
from keras_s2s.strict_yaml import parse_yaml, read_yaml

__all__ = [
    "Settings",
    "collect",
    "list_families",
    "list_presets",
    "list_recipes",
    "load_entry",
    "load_preset",
    "load_recipe",
    "overlay",
    "preset_chain",
    "preset_path",
    "read_yaml",
    "recipe_path",
    "recipes_folder",
    "resolve",
    "zoo_folder",
]

#: More names than this are not listed in an error.
MANY = 20

#: A model's name on the hub, `organisation/name`.
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")

_PACKAGE = Path(__file__).resolve().parent


# --------------------------------------------------------------------------------------
# Folders and names
# --------------------------------------------------------------------------------------


def zoo_folder() -> Path:
    """The folder that holds `families/` and `presets/`."""
    return _shipped("zoo")


def recipes_folder() -> Path:
    """The folder that holds the recipes."""
    return _shipped("recipes")


def _shipped(name: str) -> Path:
    # The wheel's folder comes first: beside an installed package, `zoo` may be anybody's.
    candidates = [_PACKAGE / f"_{name}", _PACKAGE.parent / name]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"the {name} is missing: neither {candidates[0]} nor {candidates[1]} is a folder; "
        "install keras_s2s again"
    )


def list_presets(*, zoo: Path | None = None) -> list[str]:
    """Names of every preset in the zoo, sorted.

    Args:
        zoo: a zoo folder to use instead of the one that ships with the package.

    Example:
        >>> "transformer_base" in list_presets()
        True
    """
    return _names((zoo or zoo_folder()) / "presets")


#: The key of a family file that holds its tables.
TABLES = "huggingface"


def list_families(*, zoo: Path | None = None) -> list[str]:
    """Names of every family in the zoo, sorted."""
    return _names((zoo or zoo_folder()) / "families")


def list_recipes(*, recipes: Path | None = None) -> list[str]:
    """Names of every recipe, sorted."""
    return _names(recipes or recipes_folder())


def _names(folder: Path) -> list[str]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def _read(path: Path) -> Any:
    """`read_yaml`, once for all the entries that are based on one file."""
    status = path.stat() if path.is_file() else None
    key = (status.st_mtime_ns, status.st_size) if status else ()
    return copy.deepcopy(_read_once(path, key))


@functools.lru_cache(maxsize=64)
def _read_once(path: Path, key: tuple[int, ...]) -> Any:
    return read_yaml(path)


def preset_path(name_or_path: str | Path, *, zoo: Path | None = None) -> Path:
    """The file of a preset: a name in the zoo, or the path of a YAML file.

    Raises:
        ConfigError: no such preset (the message gives the nearest names), or no such file.
    """
    return _locate("preset", name_or_path, (zoo or zoo_folder()) / "presets")


def recipe_path(name_or_path: str | Path, *, recipes: Path | None = None) -> Path:
    """The file of a recipe: a name in the recipes folder, or the path of a YAML file.

    Raises:
        ConfigError: no such recipe (the message gives the nearest names), or no such file.
    """
    return _locate("recipe", name_or_path, recipes or recipes_folder())


def _locate(what: str, name_or_path: str | Path, folder: Path) -> Path:
    written = str(name_or_path)
    is_yaml = written.endswith((".yaml", ".yml"))
    if isinstance(name_or_path, Path) or is_yaml:
        path = Path(name_or_path)
        if path.is_file():
            return path
    if isinstance(name_or_path, Path) or is_yaml or _has_folders(written):
        raise ConfigError(_no_such_path(what, written, _names(folder), is_yaml))
    path = folder / f"{written}.yaml"
    if written and path.is_file():
        return path
    raise ConfigError(f"no {what} is called {written!r}{_nearest(written, _names(folder), what)}")


def _has_folders(name: str) -> bool:
    """Whether a word is a path rather than a name: `runs/mine`, `./mine`, `~`."""
    separators = [separator for separator in (os.sep, os.altsep) if separator]
    return name.startswith((".", "~")) or any(separator in name for separator in separators)


def _no_such_path(what: str, path: str, names: list[str], is_yaml: bool) -> str:
    """The message for a path that leads to nothing of use; of the names only near ones."""
    if Path(path).exists():
        return f"{path}: expected the YAML file of a {what}, its name ending in .yaml"
    is_folder = what == "preset" and not is_yaml
    message = f"{path}: no such {'folder' if is_folder else 'file'}"
    if near := _near(Path(path).stem if is_yaml else Path(path).name, names):
        return f"{message}; did you mean {near}?"
    wrote = "a folder that save_to_preset or `keras-s2s train` wrote, " if is_folder else ""
    return f"{message}; give {wrote}the path of a YAML file, or the name of a {what}" + (
        " (keras-s2s zoo list)" if what == "preset" else f": {', '.join(names)}"
    )


def is_entry(name_or_path: str | Path, *, zoo: Path | None = None) -> bool:
    """Whether this names a preset of the zoo, or is written as the path of a YAML file."""
    written = str(name_or_path)
    return written.endswith((".yaml", ".yml")) or written in list_presets(zoo=zoo)


def no_such_model(name_or_path: str | Path, *, zoo: Path | None = None) -> ConfigError:
    """The error for what is neither a folder nor an entry; it has the nearest of both.

    Example:
        >>> print(no_such_model("gru_bahdana"))
        gru_bahdana: no such folder, and no preset has this name; did you mean 'gru_bahdanau'?
    """
    written = str(name_or_path)
    path = Path(name_or_path).expanduser()
    folders = (
        "a folder that save_to_preset or `keras-s2s train` wrote, one of Hugging Face's or "
        "CTranslate2's"
    )
    if path.is_file():
        load = " A .keras file is for keras.saving.load_model." if path.suffix == ".keras" else ""
        return ConfigError(f"{written} is a file; give {folders}, or the name of a preset.{load}")
    message = f"{written}: no such folder"
    if not _has_folders(written):
        message += ", and no preset has this name"
    beside = list[str]()
    with contextlib.suppress(OSError):
        before = written.removesuffix(path.name) if path.name else ""
        beside = sorted(before + entry.name for entry in path.parent.iterdir() if entry.is_dir())
    near = _close(written, beside) + _close(path.name, list_presets(zoo=zoo))
    if near:
        message += f"; did you mean {_either(dict.fromkeys(near))}?"
        on_hub = _HUB_NAME.fullmatch(written) and not path.parent.is_dir()
        return ConfigError(message + (f" On the hub: hf://{written}" if on_hub else ""))
    return ConfigError(
        f"{message}; give {folders}, hf://organisation/name, or the name of a preset "
        "(keras-s2s zoo list)"
    )


def _nearest(name: str, names: list[str], what: str) -> str:
    if near := _near(name, names):
        return f"; did you mean {near}?"
    if not names:
        return f"; there is no {what} to choose from"
    if len(names) > MANY:
        return "; `keras-s2s zoo list` shows what there is"
    return f"; choose a {what} from: {', '.join(names)}"


def _near(name: str, names: list[str]) -> str:
    """The names that look like `name`, joined by `or`; empty where none does."""
    return _either(_close(name, names))


def _close(name: str, names: list[str]) -> list[str]:
    return difflib.get_close_matches(name, names, n=3, cutoff=0.5)


def _either(names: Iterable[str]) -> str:
    return " or ".join(repr(name) for name in names)


# --------------------------------------------------------------------------------------
# Layers of settings
# --------------------------------------------------------------------------------------


def overlay(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Put one layer of preset settings over another.

    A plain deep merge, with one thing more: `architecture.shared` is spread over encoder and
    decoder layer by layer, so that what `changes` shares wins over what `base` says of a side.

    Example:
        >>> family = {"architecture": {"encoder": {"num_layers": 6}}}
        >>> overlay(family, {"architecture": {"shared": {"num_layers": 2}}})
        {'architecture': {'encoder': {'num_layers': 2}, 'decoder': {'num_layers': 2}}}
    """
    return merge(_spread(base), _spread(changes))


def _spread(layer: Mapping[str, Any]) -> dict[str, Any]:
    spread = dict(layer)
    architecture = spread.get("architecture")
    if isinstance(architecture, Mapping):
        # What cannot be spread stays as it is: validation reports it with file and key.
        with contextlib.suppress(ValueError):
            spread["architecture"] = spread_shared(architecture)
    return spread


@dataclass
class Settings:
    """Merged layers, and which of them set each key.

    Attributes:
        data: the settings, `architecture.shared` spread over both sides.
        origins: the source of the layer that set a key; None for a mapping that several set.
        written: for a key that was spread from `shared`: its path there.
        chain: the files of a preset and its bases.
    """

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str | None] = field(default_factory=dict)
    written: dict[KeyPath, KeyPath] = field(default_factory=dict)
    chain: list[Path] = field(default_factory=list)

    def add(self, layer: Mapping[str, Any], source: str) -> None:
        """Put a layer of settings over those so far; `source` is what errors call it."""
        if "architecture" in layer:
            # These were those of what lies below: a changed network has another count, and
            # nobody's weights.
            for key in ("parameters", "source", "license"):
                self.data.pop(key, None)
        self.data = overlay(self.data, layer)
        self._record(_spread(layer), source, ())
        self.written.update(shared_keys(layer.get("architecture"), ("architecture",)))

    def read(self, cls: type[ConfigT], source: str) -> ConfigT:
        """Validate the settings as `cls`; see `read_config`."""
        origins = {keys: origin for keys, origin in self.origins.items() if origin is not None}
        return read_config(cls, self.data, source=source, origins=origins, written=self.written)

    def _record(self, layer: Mapping[str, Any], source: str, above: KeyPath) -> None:
        for key, value in layer.items():
            here = (*above, key)
            self.written.pop(here, None)
            if isinstance(value, Mapping):
                # A mapping that several layers write belongs to none of them.
                known = self.origins.get(here, source)
                self.origins[here] = source if known == source else None
                self._record(value, source, here)
            else:
                self.origins[here] = source


def _collect(
    data: Any, source: str, folder: Path | None, zoo: Path | None, chain: Iterable[Path] = ()
) -> Settings:
    """The settings of `data` over those of its `base:`, that one's base, and so on."""
    layers: list[tuple[Mapping[str, Any], str]] = []
    chain = list(chain)
    while True:
        if not isinstance(data, Mapping):
            raise ConfigError(f"{source}: expected a mapping of keys, got {type(data).__name__}")
        layers.append(({key: data[key] for key in data if key != "base"}, source))
        if "base" not in data:
            break
        path = _base_path(data["base"], source, folder, zoo or zoo_folder())
        if path in chain:
            cycle = [*chain[chain.index(path) :], path]
            raise ConfigError(
                f"{source}: base: {data['base']} comes back to where it began: "
                + " -> ".join(str(step) for step in cycle)
            )
        chain.append(path)
        data, source, folder = _read(path), str(path), path.parent
    settings = Settings(chain=chain)
    families = (zoo or zoo_folder()) / "families"
    for layer, layer_source in reversed(layers):
        if Path(layer_source).parent == families.resolve():
            layer = _without_tables(layer) | {"family": Path(layer_source).stem}
        settings.add(layer, layer_source)
    return settings


def _without_tables(family: Mapping[str, Any]) -> dict[str, Any]:
    """A family's settings without its tables of other formats, which `load_tables` reads."""
    return {key: value for key, value in family.items() if key != TABLES}


def load_family(family: str, *, zoo: Path | None = None) -> dict[str, Any]:
    """A family's settings over those of its base, not yet validated: sizes are its presets'.

    Raises:
        ConfigError: no such family, or a base that cannot be read.
    """
    folder = zoo or zoo_folder()
    path = _locate("family", family, folder / "families").resolve()
    return _collect({"base": f"families/{family}"}, str(path), path.parent, zoo).data


def load_tables(family: str, *, zoo: Path | None = None) -> dict[str, Any]:
    """A family's tables of Hugging Face's names, over those of its base; empty if it has none.

    Raises:
        ConfigError: no such family; or a base that cannot be read.
    """
    folder = zoo or zoo_folder()
    tables: list[Mapping[str, Any]] = []
    path = _locate("family", family, folder / "families")
    seen: list[Path] = []
    while path not in seen:
        seen.append(path)
        data = read_yaml(path)
        tables.append(data.get(TABLES) or {})
        if "base" not in data:
            break
        path = _base_path(data["base"], str(path), path.parent, folder)
    merged: dict[str, Any] = {}
    for layer in reversed(tables):
        merged = merge(merged, layer)
    return merged


def _collect_preset(name_or_path: str | Path, zoo: Path | None) -> Settings:
    path = preset_path(name_or_path, zoo=zoo).resolve()
    return _collect(read_yaml(path), str(path), path.parent, zoo, chain=[path])


def _base_path(base: Any, source: str, folder: Path | None, zoo: Path) -> Path:
    if not isinstance(base, str):
        raise ConfigError(f"{source}: base: expected a name or the path of a file, got {base!r}")
    if base.endswith((".yaml", ".yml")):
        path = (folder or Path.cwd()) / base
        if path.is_file():
            return path.resolve()
        raise ConfigError(f"{source}: base: {base}: no such file: {path}")
    shelf, _, name = base.rpartition("/")
    places = [
        key
        for key in ("families", "presets")
        if shelf in ("", key) and name and (zoo / key / f"{name}.yaml").is_file()
    ]
    if len(places) > 1:
        raise ConfigError(
            f"{source}: base: {base} is both a family and a preset; write families/{base} "
            f"or presets/{base}"
        )
    if not places:
        shelves = {"families": list_families(zoo=zoo), "presets": list_presets(zoo=zoo)}
        known = [entry for names in shelves.values() for entry in names]
        if shelf:
            known = [f"{key}/{entry}" for key, names in shelves.items() for entry in names]
        raise ConfigError(
            f"{source}: base: no family or preset is called {base!r}"
            + _nearest(base, known, "family or preset")
        )
    return (zoo / places[0] / f"{name}.yaml").resolve()


# --------------------------------------------------------------------------------------
# Presets
# --------------------------------------------------------------------------------------


def resolve(data: Any, *, source: str, zoo: Path | None = None) -> dict[str, Any]:
    """Merge a preset's settings into those of its `base:`.

    Args:
        data: what a YAML file holds, `base:` included or not.
        source: where it came from, for error messages. If it is the path of a file, a relative
            base is looked for beside that file, otherwise in the working directory.
        zoo: a zoo folder to use instead of the one that ships with the package.

    Returns:
        The settings, not yet validated, without `base`.

    Raises:
        ConfigError: a base that does not exist, or a chain of bases that comes back to itself.
    """
    return collect(data, source=source, zoo=zoo).data


def collect(data: Any, *, source: str, zoo: Path | None = None) -> Settings:
    """As `resolve`, with the file that each setting came from.

    Example:
        >>> collect({"base": "transformer_base"}, source="mine").read(PresetConfig, "mine")
    """
    return _collect(data, source, _folder_of(source), zoo)


def _folder_of(source: str) -> Path | None:
    return Path(source).resolve().parent if Path(source).is_file() else None


def load_preset(
    name_or_path: str | Path,
    changes: Mapping[str, Any] | None = None,
    *,
    zoo: Path | None = None,
) -> PresetConfig:
    """Read a preset with everything it is based on.

    Args:
        name_or_path: a name in the zoo, or the path of a YAML file.
        changes: settings that win over the file's, e.g. `{"generation": {"num_beams": 5}}`.
        zoo: a zoo folder to use instead of the one that ships with the package.

    Raises:
        ConfigError: an unknown preset or base (the message gives the nearest names), bases in
            a circle, a file that is not valid YAML, or a key or value that is not valid (the
            message names file, key, value and the nearest valid key).

    Example:
        >>> load_preset("transformer_base").architecture.encoder.num_layers
        6
    """
    settings = _collect_preset(name_or_path, zoo)
    settings.add(changes or {}, "changes")
    if _is_pointer(settings):
        raise ConfigError(
            f"{settings.chain[0]}: this entry points to {settings.data['source']}, whose folder "
            "has the sizes; Seq2SeqLM.from_preset reads them with the weights. For a network "
            "without weights take an entry that states its sizes (keras-s2s zoo list)"
        )
    return settings.read(PresetConfig, str(settings.chain[0]))


def load_entry(
    name_or_path: str | Path, *, zoo: Path | None = None
) -> PresetConfig | PointerConfig:
    """As `load_preset`, and also an entry that only points to a checkpoint.

    Example:
        >>> load_entry("opus_mt_ko_en").source
        'hf://Helsinki-NLP/opus-mt-ko-en'
    """
    settings = _collect_preset(name_or_path, zoo)
    if not _is_pointer(settings):
        return settings.read(PresetConfig, str(settings.chain[0]))
    settings.data.pop("architecture", None)  # how the family's blocks are put together
    return settings.read(PointerConfig, str(settings.chain[0]))


def _is_pointer(settings: Settings) -> bool:
    """Whether settings say where weights are, but neither how many ids there are nor which."""
    architecture = settings.data.get("architecture") or {}
    return (
        settings.data.get("source") is not None
        and "special_ids" not in settings.data
        and not {"source_vocab_size", "target_vocab_size"} & set(architecture)
    )


def preset_chain(name_or_path: str | Path, *, zoo: Path | None = None) -> list[Path]:
    """The files a preset is made of: its own, its base's, that one's base, and so on.

    Raises:
        ConfigError: as `load_preset`, except that settings are not validated.
    """
    return _collect_preset(name_or_path, zoo).chain


# --------------------------------------------------------------------------------------
# Recipes
# --------------------------------------------------------------------------------------


def load_recipe(
    name_or_path: str | Path,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    *,
    recipes: Path | None = None,
    zoo: Path | None = None,
) -> RecipeConfig:
    """Read a recipe, and check that its architecture fits the preset it starts from.

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
    for change, source in _override_layers(overrides):
        settings.add(change, source)
    recipe = settings.read(RecipeConfig, str(path))
    _check_model(recipe, settings, str(path), zoo)
    return recipe


def _check_model(recipe: RecipeConfig, settings: Settings, path: str, zoo: Path | None) -> None:
    """Refuse a recipe whose model is unknown, or whose architecture does not fit that model."""
    try:
        preset = _collect_preset(recipe.model, zoo)
    except ConfigError as error:
        raise ConfigError(f"{settings.origins[('model',)]}: model: {error}") from None
    preset.add({"architecture": recipe.architecture}, path)
    for keys, origin in settings.origins.items():
        if keys[0] == "architecture" and preset.origins.get(keys) == path:
            preset.origins[keys] = origin
            if keys in settings.written:
                preset.written[keys] = settings.written[keys]
    preset.read(PresetConfig, f"{path}: model {recipe.model} with the recipe's architecture")


def _override_layers(
    overrides: Mapping[str, Any] | Iterable[str],
) -> list[tuple[dict[str, Any], str]]:
    """One layer of settings for each override, with what an error calls it."""
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
        source = f"--set {text}"
        layers.append((_nest(key.strip(), parse_yaml(value, source=source)), source))
    return layers


def _nest(dotted: str, value: Any) -> dict[str, Any]:
    """`a.b`, 1 -> `{"a": {"b": 1}}`."""
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return value
