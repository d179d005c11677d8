"""Finds the files of the zoo and of recipes by name or path, and reports names that do not
exist.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import re
from pathlib import Path
from typing import Any

from keras_s2s.catalog.model_formats import readable_sources
from keras_s2s.catalog.strict_yaml import read_yaml
from keras_s2s.catalog.unknown_models import what_is
from keras_s2s.config import ConfigError
from keras_s2s.config.file_errors import unreadable
from keras_s2s.config.nearest import close_words, did_you_mean, either

#: More names than this are not listed in an error.
MANY = 20

#: A model's name on the hub, `organisation/name`.
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")

#: Its page, or its name behind another spelling of hf://.
_HUB_ADDRESS = re.compile(
    r"(?:(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/|hf:/*)"
    r"(\w[\w.-]*/\w[\w.-]*)",
    re.IGNORECASE,
)

_PACKAGE = Path(__file__).resolve().parents[1]


def zoo_folder() -> Path:
    """Returns the folder that holds `families/` and `presets/`."""
    return _shipped("zoo")


def recipes_folder() -> Path:
    """Returns the folder that holds the recipes."""
    return _shipped("recipes")


def _shipped(name: str) -> Path:
    # The wheel's folder comes first: a `zoo` beside an installed package may be another project's.
    candidates = [_PACKAGE / f"_{name}", _PACKAGE.parent / name]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"the {name} is missing: neither {candidates[0]} nor {candidates[1]} is a folder; "
        "install keras_s2s again"
    )


def list_presets(*, zoo: Path | None = None) -> list[str]:
    """Returns the names of every preset in the zoo, sorted.

    Args:
        zoo: a zoo folder to use instead of the one that ships with the package.

    Example:
        >>> "transformer_base" in list_presets()
        True
    """
    return _names((zoo or zoo_folder()) / "presets")


#: The key of a family file that holds its tables for Hugging Face folders.
TABLES = "huggingface"
#: The one for KerasHub folders.
KERAS_HUB_TABLES = "keras_hub"
#: The one for Marian's own files.
MARIAN_TABLES = "marian"


def list_families(*, zoo: Path | None = None) -> list[str]:
    """Returns the names of every family in the zoo, sorted."""
    return _names((zoo or zoo_folder()) / "families")


def list_recipes(*, recipes: Path | None = None) -> list[str]:
    """Returns the names of every recipe, sorted."""
    return _names(recipes or recipes_folder())


def _names(folder: Path) -> list[str]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def read_once(path: Path) -> Any:
    """Reads a YAML file, and keeps it for the other entries that are based on it."""
    status = path.stat() if path.is_file() else None
    key = (status.st_mtime_ns, status.st_size) if status else ()
    return copy.deepcopy(_read_unchanged(path, key))


@functools.lru_cache(maxsize=64)
def _read_unchanged(path: Path, key: tuple[int, ...]) -> Any:
    return read_yaml(path)


def preset_path(name_or_path: str | Path, *, zoo: Path | None = None) -> Path:
    """Returns the file of a preset: a name in the zoo, or the path of a YAML file.

    Raises:
        ConfigError: no such preset (the message gives the nearest names), or no such file.
    """
    return locate("preset", name_or_path, (zoo or zoo_folder()) / "presets")


def recipe_path(name_or_path: str | Path, *, recipes: Path | None = None) -> Path:
    """Returns the file of a recipe: a name in the recipes folder, or the path of a YAML file.

    Raises:
        ConfigError: no such recipe (the message gives the nearest names), or no such file.
    """
    return locate("recipe", name_or_path, recipes or recipes_folder())


def locate(what: str, name_or_path: str | Path, folder: Path) -> Path:
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
    rest = nearest_or_all(written, _names(folder), what)
    raise ConfigError(f"no {what} is called {written!r}{rest}")


def _has_folders(name: str) -> bool:
    """Returns whether a word is written as a path rather than as a name: `runs/mine`, `./mine`,
    `~`.
    """
    separators = [separator for separator in (os.sep, os.altsep) if separator]
    return name.startswith((".", "~")) or any(separator in name for separator in separators)


def _no_such_path(what: str, path: str, names: list[str], is_yaml: bool) -> str:
    """Returns the message about a path that does not exist, with similar names."""
    if Path(path).exists():
        return f"{path}: expected the YAML file of a {what}, its name ending in .yaml"
    is_folder = what == "preset" and not is_yaml
    message = f"{path}: no such {'folder' if is_folder else 'file'}"
    if near := did_you_mean(Path(path).stem if is_yaml else Path(path).name, names, n=3):
        return f"{message}; {near}"
    wrote = "a folder that save_to_preset or `keras-s2s train` wrote, " if is_folder else ""
    return f"{message}; give {wrote}the path of a YAML file, or the name of a {what}" + (
        " (keras-s2s zoo list)" if what == "preset" else f": {', '.join(names)}"
    )


def is_entry(name_or_path: str | Path, *, zoo: Path | None = None) -> bool:
    """Returns whether this is the name of a preset of the zoo, or the path of a YAML file."""
    written = str(name_or_path)
    return written.endswith((".yaml", ".yml")) or written in list_presets(zoo=zoo)


def no_such_model(name_or_path: str | Path, *, zoo: Path | None = None) -> ConfigError:
    """Returns the error for a model that is neither a folder nor a preset, with similar names.

    Example:
        >>> print(no_such_model("gru_bahdana"))
        gru_bahdana: no such folder, and no preset has this name; did you mean 'gru_bahdanau'?
    """
    written = str(name_or_path)
    if on_hub := _HUB_ADDRESS.match(written):
        return ConfigError(
            f"{written}: no such folder; a model on the hub is written as hf://{on_hub[1]}"
        )
    path = Path(name_or_path).expanduser()
    try:
        is_file = path.is_file()
    except OSError as error:
        shown = written if len(written) < 100 else f"{written[:80]}..."
        if isinstance(error, PermissionError):
            return ConfigError(unreadable(Path(shown), error))
        return ConfigError(f"{shown}: no such folder ({error.strerror})")
    if is_file:
        return ConfigError(what_is(Path(written)))
    message = f"{written}: no such folder"
    if not _has_folders(written):
        message += ", and no preset has this name"
    beside = list[str]()
    with contextlib.suppress(OSError):
        before = written.removesuffix(path.name) if path.name else ""
        beside = sorted(before + entry.name for entry in path.parent.iterdir() if entry.is_dir())
    near = close_words(written, beside, n=3) + close_words(path.name, list_presets(zoo=zoo), n=3)
    if near:
        message += f"; did you mean {either(dict.fromkeys(near))}?"
        is_name = _HUB_NAME.fullmatch(written) and not path.parent.is_dir()
        return ConfigError(message + (f" On the hub: hf://{written}" if is_name else ""))
    return ConfigError(f"{message}; give {readable_sources(names_only=True)} (keras-s2s zoo list)")


def nearest_or_all(name: str, names: list[str], what: str) -> str:
    """Returns the end of a message about an unknown name: similar names, or how to list all."""
    if near := did_you_mean(name, names, n=3):
        return f"; {near}"
    if not names:
        return f"; there is no {what} to choose from"
    if len(names) > MANY:
        return "; `keras-s2s zoo list` shows what there is"
    return f"; choose a {what} from: {', '.join(names)}"
