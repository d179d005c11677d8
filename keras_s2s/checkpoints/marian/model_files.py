"""Finds the files of a Marian model: what a path names, and what lies beside it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_s2s.catalog.marian_files import is_foreign
from keras_s2s.catalog.strict_yaml import read_yaml
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.marian_bin_file import is_marian_bin
from keras_s2s.config import ConfigError

DECODER_CONFIG = ".decoder.yml"
#: Endings of what Marian writes beside a model, and is none.
NO_MODELS = (".optimizer.npz", ".progress.npz")
VOCABULARIES = (".spm", ".yml", ".yaml", ".json", ".txt", ".vocab")
#: What options of a search are where nobody says.
SEARCH: dict[str, Any] = {"beam-size": 12, "normalize": 0, "word-penalty": 0}
#: Keys of a decoder configuration that say how fast, or where from.
_HARMLESS = {
    "relative-paths", "models", "vocabs", "beam-size", "normalize", "word-penalty", "mini-batch",
    "maxi-batch", "maxi-batch-sort", "mini-batch-words", "workspace", "cpu-threads", "devices",
    "quiet", "quiet-translation", "log", "log-level", "input", "output", "port", "n-best",
    "shortlist", "gemm-precision", "gemm-type", "optimize", "skip-cost", "alignment",
    "max-length-break", "ssplit-mode", "allow-unk", "seed", "precision", "int8shift",
    "intgemm-options", "gpus", "num-devices", "word-scores", "no-spm-decode", "no-spm-encode",
}  # fmt: skip


@dataclass(frozen=True)
class MarianFiles:
    """The files of a model.

    Attributes:
        model: `.npz` or `.bin`.
        vocabularies: of source and target; none where none was found.
        pieces: `source.spm` and `target.spm` of OPUS-MT, which split text into the tokens of the
            vocabularies; none where these do it.
        search: the options of `SEARCH`.
        options: the decoder configuration.
        shortlist: the lexical shortlist, None where there is none, and the numbers that stand
            behind it in a decoder configuration.
        notes: remarks for the report.
    """

    model: Path
    vocabularies: tuple[Path, Path] | None
    pieces: tuple[Path, Path] | None = None
    search: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    shortlist: tuple[Path | None, tuple[Any, ...]] = (None, ())


def is_marian_model(path: Path) -> bool:
    """Returns whether a file is a model of Marian, or a decoder configuration, by its name; or a
    folder holds one.
    """
    if path.is_dir():
        return bool(_decoder_configs(path) or _models(path))
    return path.is_file() and (
        path.name.endswith((".npz", DECODER_CONFIG))
        or (path.suffix == ".bin" and is_marian_bin(path))
        or (path.name == "decoder.yml")
    )


def find_files(path: Path) -> MarianFiles:
    """Returns the files of the model that `path` names.

    Args:
        path: a model, a `.decoder.yml`, or the folder of one model.

    Raises:
        CheckpointError: no model, several, or an ensemble.
        ConfigError: a decoder configuration that cannot be read.
    """
    config: Path | None = None
    if path.is_dir():
        configs, models = _decoder_configs(path), _models(path)
        if len(configs) == 1:
            config = configs[0]
        elif len(models) != 1:
            names = ", ".join(each.name for each in configs or models)
            raise CheckpointError(f"{path}: several models of Marian ({names}); give one's path")
        else:
            path = models[0]
    elif path.suffix == ".yml":
        config = path
    if config is None:
        beside = [path.with_name(path.name + DECODER_CONFIG), path.with_name("decoder.yml")]
        config = next((each for each in beside if each.is_file()), None)
        if config is not None and not _names_model(config, path):
            config = None
        model = path
    else:
        model = _model_of(config)
    options: Mapping[str, Any] = _read(config) if config else {}
    vocabularies, notes = _vocabularies(model, config, options)
    return MarianFiles(
        model,
        vocabularies,
        _pieces(model.parent, vocabularies),
        _search(config, options),
        options,
        (*notes, *_unused(config, options)),
        _shortlist(model.parent, config, options),
    )


def _decoder_configs(folder: Path) -> list[Path]:
    found = {*folder.glob("*" + DECODER_CONFIG), *folder.glob("decoder.yml")}
    return sorted(each for each in found if not is_foreign(each))


def _models(folder: Path) -> list[Path]:
    npz = [each for each in folder.glob("*.npz") if not each.name.endswith(NO_MODELS)]
    npz = [each for each in npz if not is_foreign(each)]
    return sorted([*npz, *(each for each in folder.glob("*.bin") if is_marian_bin(each))])


def _read(config: Path) -> dict[str, Any]:
    options = read_yaml(config)
    if not isinstance(options, dict):
        raise ConfigError(f"{config}: expected a mapping of keys, got {type(options).__name__}")
    return options


def _paths(config: Path, options: Mapping[str, Any], key: str) -> list[Path]:
    found = options.get(key) or []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ConfigError(f"{config}: {key}: expected a list of paths, got {found!r}")
    return [_located(config, each) for each in found]


def _located(config: Path, written: str) -> Path:
    """Returns a path of a configuration: from its folder, or where its writer had it."""
    name = written.replace("\\", "/").rpartition("/")[2]
    candidates = [config.parent / written, config.parent / name]
    return next((each for each in candidates if each.is_file()), candidates[0])


def _names_model(config: Path, model: Path) -> bool:
    names = [each.name for each in _paths(config, _read(config), "models")]
    return config.name.startswith(model.name) or model.name in names


def _model_of(config: Path) -> Path:
    models = _paths(config, _read(config), "models")
    if len(models) != 1:
        raise CheckpointError(
            f"{config}: models has {len(models)} paths; one model can be read, an ensemble cannot"
        )
    if not models[0].is_file():
        raise CheckpointError(f"{config}: the model {models[0]} is missing")
    return models[0]


def _vocabularies(
    model: Path, config: Path | None, options: Mapping[str, Any]
) -> tuple[tuple[Path, Path] | None, list[str]]:
    """Returns the vocabularies of both sides: as configured, or the ones beside the model."""
    found = _paths(config, options, "vocabs") if config else []
    if not found and (training := model.with_name(model.name + ".yml")).is_file():
        found = _paths(training, _read(training), "vocabs")
    if found:
        if len(found) != 2:
            raise CheckpointError(
                f"{config}: vocabs has {len(found)} paths; models of one source and one target can "
                "be read"
            )
        missing = [str(each) for each in found if not each.is_file()]
        if missing:
            return None, [f"the vocabulary {missing[0]} is missing: the model works on ids"]
        return (found[0], found[1]), []
    beside = _beside(model)
    if beside is None:
        return None, ["no vocabulary (.spm, .yml, .vocab) is beside the model: it works on ids"]
    return beside, []


def _beside(model: Path) -> tuple[Path, Path] | None:
    """Returns the vocabularies that lie beside a model without a decoder configuration.

    Firefox' students have `vocab.deen.spm`, or `srcvocab.deen.spm` and `trgvocab.deen.spm`.
    """
    folder = model.parent
    stem = model.name
    while (shorter := stem.rpartition(".")[0]) and shorter != stem:
        stem = shorter
        for end in (".spm", ".vocab.spm", ".vocab.yml", ".vocab"):
            if (path := folder / (stem + end)).is_file():
                return path, path
    spm = sorted(folder.glob("*.spm"))
    sides = [
        [each for each in spm if re.match(rf"({name})([._-]|vocab)", each.name)]
        for name in ("src|source", "trg|tgt|target")
    ]
    if len(sides[0]) == len(sides[1]) == 1:
        return sides[0][0], sides[1][0]
    joint = [each for each in folder.glob("*vocab*") if each.suffix in VOCABULARIES]
    for candidates in (sorted(joint), spm):
        if len(candidates) == 1:
            return candidates[0], candidates[0]
    return None


def _pieces(folder: Path, vocabularies: Sequence[Path] | None) -> tuple[Path, Path] | None:
    """Returns OPUS-MT's SentencePiece models, which cut text into the tokens of a `.yml`."""
    paths = folder / "source.spm", folder / "target.spm"
    if vocabularies is None or any(each.suffix == ".spm" for each in vocabularies):
        return None
    return paths if all(each.is_file() for each in paths) else None


def _shortlist(
    folder: Path, config: Path | None, options: Mapping[str, Any]
) -> tuple[Path | None, tuple[Any, ...]]:
    """Returns the lexical shortlist: as configured, or that of a student, `lex.50.50.deen.s2t.bin`,
    beside its model.
    """
    found = options.get("shortlist")
    if config is not None and _is_shortlist(found):
        assert found is not None
        return _located(config, found[0]), tuple(found[1:])
    beside = sorted({*folder.glob("lex.*"), *folder.glob("*.s2t.bin"), *folder.glob("*.s2t")})
    return (beside[0] if len(beside) == 1 else None), ()


def _is_shortlist(found: Any) -> bool:
    return isinstance(found, list) and bool(found) and isinstance(found[0], str)


def _search(config: Path | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of `SEARCH`, whose values are numbers."""
    found = {key: options.get(key, value) for key, value in SEARCH.items()}
    for key, value in found.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if key == "beam-size":
            if not isinstance(value, int) or not number or value < 1:
                raise ConfigError(
                    f"{config}: {key}: expected a whole number above 0, got {value!r}"
                )
        elif not number or not math.isfinite(value):
            raise ConfigError(f"{config}: {key}: expected a number, got {value!r}")
    return found


def _unused(config: Path | None, options: Mapping[str, Any]) -> list[str]:
    unused = [key for key in options if key not in _HARMLESS]
    notes = []
    if options.get("word-penalty"):
        notes.append(f"word-penalty {options['word-penalty']} in {config} is not used")
    if unused:
        notes.append(f"{config} has keys that are not used: {', '.join(map(str, unused))}")
    shortlist = options.get("shortlist")
    if shortlist is not None and not _is_shortlist(shortlist):
        notes.append(
            f"shortlist in {config} is not used: expected a list of a path and numbers, got "
            f"{shortlist!r}"
        )
    return notes
