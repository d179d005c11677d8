"""Reads presets of the zoo with everything they are based on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_s2s.catalog.settings import Settings, collect_over_bases, collect_preset
from keras_s2s.config import ConfigError, PointerConfig, PresetConfig


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
    return collect_over_bases(data, source, _folder_of(source), zoo)


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
    """As `load_preset`, and also an entry that only points to a checkpoint.

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
    return collect_preset(name_or_path, zoo).chain
