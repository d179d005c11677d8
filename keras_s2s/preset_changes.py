"""Changes the architecture, vocabulary or defaults of a preset.

`Seq2SeqLM` calls these between reading a configuration (`checkpoints/sources.py`, or a description
that the caller gives) and building the network: with a preprocessor a preset gets the sizes and
special ids of its tokenizers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_s2s import catalog
from keras_s2s.config import (
    ArchitectureConfig,
    ConfigError,
    GenerationConfig,
    PresetConfig,
    SpecialIds,
    read_config,
    shared_keys,
)
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text.pretrained.base import encoded_size
from keras_s2s.text.special_tokens import SPECIAL_TOKENS


def with_changes(
    config: PresetConfig,
    architecture: Mapping[str, Any],
    preprocessor: Preprocessor | None,
    *,
    origin: str,
    generation: GenerationConfig | Mapping[str, Any] | None = None,
) -> PresetConfig:
    """Returns `config` with another architecture, vocabulary or other generation defaults.

    Args:
        config: a valid preset.
        architecture: keys of `ArchitectureConfig` (and `shared`) that win over the preset's.
        preprocessor: sets vocabulary sizes and special ids; None leaves them.
        origin: where the preset came from, for error messages.
        generation: defaults of `generate` in place of the preset's; None leaves them.

    Raises:
        ConfigError: the differences do not make a valid preset.
    """
    check_preprocessor(preprocessor)
    changes: dict[str, Any] = {"architecture": dict(architecture)}
    if preprocessor is not None:
        kind = _frontend_type({**config.model_dump()["architecture"], **architecture})
        changes = catalog.overlay(changes, _of_preprocessor(preprocessor, kind))
    if generation is not None:
        changes["generation"] = (
            generation.model_dump() if isinstance(generation, GenerationConfig) else generation
        )
    if changes == {"architecture": {}}:
        return config
    base = config.model_dump()
    base["architecture"] |= _of_other_types(config.architecture, architecture)
    data = catalog.overlay(base, changes)
    if data["architecture"] != config.model_dump()["architecture"]:
        data["parameters"] = None  # the declared count was the preset's own
    _check_joint(data, preprocessor, origin)
    written = shared_keys(architecture, ("architecture",))
    return read_config(PresetConfig, data, origin=origin, written=written)


def _of_other_types(config: ArchitectureConfig, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the sides whose type `changes` replaces, without settings that have their default
    value, since the other type may have no such setting.
    """
    sides: dict[str, Any] = {}
    for name in ("encoder", "decoder"):
        own, change = getattr(config, name), catalog.overlay({}, {"architecture": dict(changes)})
        side = change["architecture"].get(name)
        kind = side.get("type", own.type) if isinstance(side, Mapping) else own.type
        if kind != own.type:
            sides[name] = own.model_dump(exclude_defaults=True)
    return sides


def with_trained_bias(config: PresetConfig, train: bool | None, *, origin: str) -> PresetConfig:
    """Returns `config` with the output bias trainable or fixed; None leaves it as it is.

    Raises:
        ConfigError: there is no bias to train.
    """
    if train is None:
        return config
    if train and not config.architecture.output.bias:
        raise ConfigError(
            f"{origin}: train_output_bias=True, but this model's logits have no bias "
            "(architecture.output.bias is false); leave train_output_bias out"
        )
    change = {"architecture": {"output": {"train_bias": train}}}
    return read_config(PresetConfig, catalog.overlay(config.model_dump(), change), origin=origin)


def from_description(
    description: Mapping[str, Any] | str | Path,
    preprocessor: Preprocessor | None,
    special_ids: SpecialIds | Mapping[str, Any] | None,
) -> PresetConfig:
    """Makes a preset from an architecture's keys, a preset's keys, or a YAML file of either.

    Raises:
        ConfigError: a key or value that is not valid, with file, key and nearest key.
    """
    check_preprocessor(preprocessor)
    origin, data = "architecture", description
    if not isinstance(data, Mapping):
        origin, data = str(description), catalog.read_yaml(Path(str(description)))
    if "architecture" not in data and "base" not in data:
        data = {"architecture": data}
    settings = catalog.collect(data, origin=origin)
    settings.data.setdefault("description", "An architecture of its own.")
    if preprocessor is not None:
        kind = _frontend_type(settings.data["architecture"])
        settings.add(_of_preprocessor(preprocessor, kind), "the preprocessor")
        _check_joint(settings.data, preprocessor, origin)
    if special_ids is not None:
        settings.data["special_ids"] = (
            special_ids.model_dump() if isinstance(special_ids, SpecialIds) else special_ids
        )
    settings.data.setdefault("special_ids", _trained_special_ids())
    return settings.read(PresetConfig, origin)


def with_preprocessor(config: PresetConfig, preprocessor: Preprocessor) -> PresetConfig:
    """Returns `config` with the special ids and default languages of a preprocessor.

    Ids that the preprocessor does not set (forced ids) stay as they are, unless it has languages,
    which determine how targets begin.

    Raises:
        ValueError: the tokenizers have more ids than the network, or targets begin or end with
            other ids than those of the network.
    """
    check_preprocessor(preprocessor)
    check_vocabularies(config.architecture, preprocessor)
    mine, theirs = config.special_ids.target, preprocessor.special_ids.target
    languages = preprocessor.special_ids.languages
    for name in ("decoder_start", "eos"):
        if name == "decoder_start" and languages is not None:
            continue
        if getattr(mine, name) != getattr(theirs, name):
            raise ValueError(
                f"special_ids.target.{name} is {getattr(theirs, name)} in the preprocessor, but "
                f"{getattr(mine, name)} in the model; make the preprocessor with "
                "special_ids=model.special_ids"
            )
    kept = {
        name: getattr(mine, name)
        for name in ("forced_bos", "forced_eos")
        if getattr(theirs, name) is None and (name == "forced_eos" or languages is None)
    }
    special_ids = preprocessor.special_ids.model_copy(
        update={"target": theirs.model_copy(update=kept)}
    )
    return config.model_copy(update={"special_ids": special_ids})


def check_preprocessor(preprocessor: Any) -> None:
    """Raises an error for what is no preprocessor.

    Raises:
        TypeError: names its type, and how one is made.
    """
    if preprocessor is not None and not isinstance(preprocessor, Preprocessor):
        raise TypeError(
            f"preprocessor is {preprocessor!r}, a {type(preprocessor).__name__}; expected a "
            "Preprocessor: Preprocessor.train(pairs, ...), or that of another model, "
            "model.preprocessor"
        )


def check_vocabularies(architecture: ArchitectureConfig, preprocessor: Preprocessor) -> None:
    """Raises an error for tokenizers with more ids than the network has.

    Raises:
        ConfigError: with both sizes.
    """
    sizes = {"target_vocab_size": encoded_size(preprocessor.target)}
    if architecture.frontend.type == "tokens":
        sizes["source_vocab_size"] = encoded_size(preprocessor.source)
    for name, size in sizes.items():
        if size > getattr(architecture, name):
            raise ConfigError(
                f"architecture.{name} is {getattr(architecture, name)}, but the tokenizer has "
                f"{size} ids; they belong to different models"
            )


def _check_joint(data: Mapping[str, Any], preprocessor: Preprocessor | None, origin: str) -> None:
    """Raises an error for a shared table and two vocabularies, also of equal sizes."""
    shared = data["architecture"].get("share_embeddings")
    if preprocessor is not None and shared and not preprocessor.joint:
        raise ConfigError(
            f"{origin}: architecture.share_embeddings is true, one table for both sides, but "
            "source and target have tokenizers of their own; train one for both "
            "(Preprocessor.train(..., joint=True)), or pass "
            'architecture={"share_embeddings": False}'
        )


def _frontend_type(architecture: Mapping[str, Any]) -> Any:
    """Returns the kind of sources that settings, not yet validated, ask for."""
    frontend = architecture.get("frontend")
    return frontend.get("type") if isinstance(frontend, Mapping) else "tokens"


def _of_preprocessor(preprocessor: Preprocessor, frontend: Any) -> dict[str, Any]:
    return {
        "architecture": _vocabularies(preprocessor, frontend),
        "special_ids": preprocessor.special_ids.model_dump(),
    }


def _vocabularies(preprocessor: Preprocessor, frontend: Any) -> dict[str, int]:
    """Returns the sizes of the vocabularies that a network needs: of the source for token ids
    only.
    """
    sizes = {"target_vocab_size": preprocessor.target.vocabulary_size}
    if frontend == "tokens":
        sizes = {"source_vocab_size": preprocessor.source.vocabulary_size, **sizes}
    return sizes


def _trained_special_ids() -> dict[str, Any]:
    """Returns the special ids of tokenizers trained here, whose special tokens come first."""
    pad, unk, bos, eos = range(len(SPECIAL_TOKENS))
    return {
        "source": {"pad": pad, "eos": eos, "unk": unk},
        "target": {"decoder_start": bos, "eos": eos, "pad": pad, "unk": unk},
    }
