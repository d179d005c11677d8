"""Reads the zoo's encoders and decoders that whole models are put together of (warm start)."""

from __future__ import annotations

from pathlib import Path

from keras_s2s.catalog.folders import list_presets, nearest_or_all, zoo_folder
from keras_s2s.catalog.strict_yaml import read_yaml
from keras_s2s.config import ConfigError, HalfConfig, read_config


def list_halves(*, zoo: Path | None = None) -> list[str]:
    """Returns the names of every half in the zoo, sorted."""
    return sorted(path.stem for path in ((zoo or zoo_folder()) / "halves").glob("*.yaml"))


def load_half(name: str, *, zoo: Path | None = None) -> HalfConfig:
    """Reads a half of the zoo.

    Raises:
        ConfigError: an unknown name (with the nearest ones), or a file that is not valid.

    Example:
        >>> load_half("bert_base_uncased").config["model_type"]
        'bert'
    """
    path = (zoo or zoo_folder()) / "halves" / f"{name}.yaml"
    if not path.is_file():
        raise no_such_half(name, zoo=zoo)
    return read_config(HalfConfig, read_yaml(path), origin=str(path))


def no_such_half(name: str, *, zoo: Path | None = None) -> ConfigError:
    """Returns the error for what is neither a folder nor an encoder or decoder of the zoo."""
    known = [*list_halves(zoo=zoo), *list_presets(zoo=zoo)]
    return ConfigError(
        f"{name}: no such folder, and no encoder or decoder of the zoo has this name"
        + nearest_or_all(name, known, "half")
    )
