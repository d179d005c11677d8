"""Reads presets of the zoo, merged with everything they are based on.

`load_preset` returns a validated `PresetConfig` (`config/preset.py`), from which `builder.py` makes
a network. `from_preset` comes here by `checkpoints/sources.py`, where its argument is a name of the
zoo or a YAML file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_s2s.catalog.settings import Settings, collect_over_bases, collect_preset
from keras_s2s.config import ConfigError, PointerConfig, PresetConfig


def resolve(data: Any, *, origin: str, zoo: Path | None = None) -> dict[str, Any]:
    """Merges a preset's settings into those of the entry that its `base:` names.

    Args:
        data: what a YAML file holds, `base:` included or not.
        origin: where it came from, for error messages. If it is the path of a file, a relative
            base is looked for beside that file, otherwise in the working directory.
        zoo: a zoo folder to use instead of the one that ships with the package.

    Returns:
        The settings, not yet validated, without `base`.

    Raises:
        ConfigError: a base that does not exist, or a chain of bases that comes back to itself.
    """
    return collect(data, origin=origin, zoo=zoo).data


def collect(data: Any, *, origin: str, zoo: Path | None = None) -> Settings:
    """Merges settings as `resolve` does, and keeps which file each one came from.

    Example:
        >>> collect({"base": "transformer_base"}, origin="mine").read(PresetConfig, "mine")
    """
    return collect_over_bases(data, origin, _folder_of(origin), zoo)


def _folder_of(origin: str) -> Path | None:
    return Path(origin).resolve().parent if Path(origin).is_file() else None


def load_preset(
    name_or_path: str | Path,
    changes: Mapping[str, Any] | None = None,
    *,
    zoo: Path | None = None,
) -> PresetConfig:
    """Reads a preset, merged with everything it is based on.

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
    settings = collect_preset(name_or_path, zoo)
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
    """Reads a preset as `load_preset` does, or one that only points to a checkpoint.

    Example:
        >>> load_entry("opus_mt_ko_en").source
        'hf://Helsinki-NLP/opus-mt-ko-en'
    """
    settings = collect_preset(name_or_path, zoo)
    if not _is_pointer(settings):
        return settings.read(PresetConfig, str(settings.chain[0]))
    settings.data.pop("architecture", None)  # how the family's blocks are put together
    return settings.read(PointerConfig, str(settings.chain[0]))


def _is_pointer(settings: Settings) -> bool:
    """Returns whether settings name a checkpoint and leave its sizes and ids to that."""
    architecture = settings.data.get("architecture") or {}
    return (
        settings.data.get("source") is not None
        and "special_ids" not in settings.data
        and not {"source_vocab_size", "target_vocab_size"} & set(architecture)
    )


def preset_chain(name_or_path: str | Path, *, zoo: Path | None = None) -> list[Path]:
    """Returns the files that a preset is made of: its own, that of its base, and so on.

    Raises:
        ConfigError: as `load_preset`, except that settings are not validated.
    """
    return collect_preset(name_or_path, zoo).chain
