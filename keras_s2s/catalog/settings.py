"""Merges layers of settings, and keeps which file each setting came from.

A layer is what one YAML file says; its `base:` is the layer below it. `collect_over_bases` walks
down, and then merges from the bottom up (`overlay`, a merge in which `architecture.shared` stands
for both sides). Nothing is validated before `Settings.read`, which names file and key in errors.
`presets.py` and `recipes.py` are what others call.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_s2s.catalog.folders import (
    KERAS_HUB_TABLES,
    MARIAN_TABLES,
    TABLES,
    list_families,
    list_presets,
    locate,
    nearest_or_all,
    preset_path,
    read_once,
    zoo_folder,
)
from keras_s2s.catalog.strict_yaml import read_yaml
from keras_s2s.config import (
    ConfigError,
    ConfigT,
    KeyPath,
    merge,
    read_config,
    shared_keys,
    spread_shared,
)


def overlay(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merges one layer of preset settings over another.

    A deep merge, before which each layer's `architecture.shared` is copied to its encoder and
    decoder, so that what `changes` shares wins over what `base` says of one side.

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
        # What cannot be copied stays as it is: validation reports it with file and key.
        with contextlib.suppress(ValueError):
            spread["architecture"] = spread_shared(architecture)
    return spread


@dataclass
class Settings:
    """Merged layers of settings, with the layer that set each key.

    Attributes:
        data: the settings, `architecture.shared` spread over both sides.
        origins: the origin of the layer that set a key; None for a mapping that several set.
        written: for a key that was spread from `shared`: its path there.
        chain: the files of a preset and its bases.
    """

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str | None] = field(default_factory=dict)
    written: dict[KeyPath, KeyPath] = field(default_factory=dict)
    chain: list[Path] = field(default_factory=list)

    def add(self, layer: Mapping[str, Any], origin: str) -> None:
        """Merges a layer over those so far; `origin` is its name in error messages."""
        if "architecture" in layer:
            # These describe the base: a changed network has another number of parameters, and
            # no published weights.
            for key in ("parameters", "source", "license"):
                self.data.pop(key, None)
        self.data = overlay(self.data, layer)
        self._record(_spread(layer), origin, ())
        self.written.update(shared_keys(layer.get("architecture"), ("architecture",)))

    def read(self, cls: type[ConfigT], origin: str) -> ConfigT:
        """Validates the settings as `cls`; see `read_config`."""
        origins = {keys: origin for keys, origin in self.origins.items() if origin is not None}
        return read_config(cls, self.data, origin=origin, origins=origins, written=self.written)

    def _record(self, layer: Mapping[str, Any], origin: str, above: KeyPath) -> None:
        for key, value in layer.items():
            here = (*above, key)
            self.written.pop(here, None)
            if isinstance(value, Mapping):
                # A mapping that several layers write belongs to none of them.
                known = self.origins.get(here, origin)
                self.origins[here] = origin if known == origin else None
                self._record(value, origin, here)
            else:
                self.origins[here] = origin


def collect_over_bases(
    data: Any, origin: str, folder: Path | None, zoo: Path | None, chain: Iterable[Path] = ()
) -> Settings:
    """Merges `data` over its base, that one over its own base, and so on."""
    layers: list[tuple[Mapping[str, Any], str]] = []
    chain = list(chain)
    while True:
        if not isinstance(data, Mapping):
            raise ConfigError(f"{origin}: expected a mapping of keys, got {type(data).__name__}")
        layers.append(({key: data[key] for key in data if key != "base"}, origin))
        if "base" not in data:
            break
        path = _base_path(data["base"], origin, folder, zoo or zoo_folder())
        if path in chain:
            cycle = [*chain[chain.index(path) :], path]
            raise ConfigError(
                f"{origin}: base: {data['base']} comes back to where it began: "
                + " -> ".join(str(step) for step in cycle)
            )
        chain.append(path)
        data, origin, folder = read_once(path), str(path), path.parent
    settings = Settings(chain=chain)
    families = (zoo or zoo_folder()) / "families"
    for layer, layer_source in reversed(layers):
        if Path(layer_source).parent == families.resolve():
            layer = _without_tables(layer) | {"family": Path(layer_source).stem}
        settings.add(layer, layer_source)
    return settings


def _without_tables(family: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a family's settings without its tables for other formats (see `load_tables`)."""
    formats = (TABLES, KERAS_HUB_TABLES, MARIAN_TABLES)
    return {key: value for key, value in family.items() if key not in formats}


def load_family(family: str, *, zoo: Path | None = None) -> dict[str, Any]:
    """Reads a family, merged over its base; not validated, since its presets give the sizes.

    Raises:
        ConfigError: no such family, or a base that cannot be read.
    """
    folder = zoo or zoo_folder()
    path = locate("family", family, folder / "families").resolve()
    return collect_over_bases({"base": f"families/{family}"}, str(path), path.parent, zoo).data


def load_tables(family: str, part: str = TABLES, *, zoo: Path | None = None) -> dict[str, Any]:
    """Reads a family's tables of another library's names, merged over those of its base.

    Args:
        family: its name.
        part: the key of the family file: "huggingface", "keras_hub" or "marian".
        zoo: a zoo folder to use instead of the one that ships with the package.

    Raises:
        ConfigError: no such family; or a base that cannot be read.
    """
    folder = zoo or zoo_folder()
    tables: list[Mapping[str, Any]] = []
    path = locate("family", family, folder / "families")
    seen: list[Path] = []
    while path not in seen:
        seen.append(path)
        data = read_yaml(path)
        tables.append(data.get(part) or {})
        if "base" not in data:
            break
        path = _base_path(data["base"], str(path), path.parent, folder)
    merged: dict[str, Any] = {}
    for layer in reversed(tables):
        merged = merge(merged, layer)
    return merged


def collect_preset(name_or_path: str | Path, zoo: Path | None) -> Settings:
    path = preset_path(name_or_path, zoo=zoo).resolve()
    return collect_over_bases(read_yaml(path), str(path), path.parent, zoo, chain=[path])


def _base_path(base: Any, origin: str, folder: Path | None, zoo: Path) -> Path:
    if not isinstance(base, str):
        raise ConfigError(f"{origin}: base: expected a name or the path of a file, got {base!r}")
    if base.endswith((".yaml", ".yml")):
        path = (folder or Path.cwd()) / base
        if path.is_file():
            return path.resolve()
        raise ConfigError(f"{origin}: base: {base}: no such file: {path}")
    shelf, _, name = base.rpartition("/")
    places = [
        key
        for key in ("families", "presets")
        if shelf in ("", key) and name and (zoo / key / f"{name}.yaml").is_file()
    ]
    if len(places) > 1:
        raise ConfigError(
            f"{origin}: base: {base} is both a family and a preset; write families/{base} "
            f"or presets/{base}"
        )
    if not places:
        shelves = {"families": list_families(zoo=zoo), "presets": list_presets(zoo=zoo)}
        known = [entry for names in shelves.values() for entry in names]
        if shelf:
            known = [f"{key}/{entry}" for key, names in shelves.items() for entry in names]
        raise ConfigError(
            f"{origin}: base: no family or preset is called {base!r}"
            + nearest_or_all(base, known, "family or preset")
        )
    return (zoo / places[0] / f"{name}.yaml").resolve()
