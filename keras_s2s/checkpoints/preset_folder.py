"""Writes and reads this package's own model folders: YAML, safetensors and tokenizer files.

preset.yaml          architecture, special ids, generation defaults
model.safetensors    one tensor for each weight, named by its path in the model
tokenizer/           source.* and, unless joint, target.*; absent for an ids-only model
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from keras import ops
from keras.backend import is_float_dtype

from keras_s2s.atomic_writing import moved_into
from keras_s2s.catalog.strict_yaml import read_yaml
from keras_s2s.catalog.unknown_models import what_is_in
from keras_s2s.checkpoints.assignment import Assignments
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.safetensors_file import SafetensorsFile
from keras_s2s.checkpoints.variable_shapes import variable_shapes
from keras_s2s.config import MissingFileError, PresetConfig, read_config
from keras_s2s.layers.lora import adapter_shapes, is_adapter
from keras_s2s.network_size import smallest_count
from keras_s2s.text.preprocessor import FOLDER as TOKENIZER_FOLDER
from keras_s2s.text.preprocessor import Preprocessor

CONFIG_FILE = "preset.yaml"
WEIGHTS_FILE = "model.safetensors"


def is_preset_folder(path: str | Path) -> bool:
    """Returns whether `path` is a folder that `save_preset` wrote."""
    return (Path(path) / CONFIG_FILE).is_file()


def not_a_preset_folder(path: str | Path) -> CheckpointError:
    """Returns the error for a folder of none of the known kinds: what was found, which format is
    nearest, and what lacks for it.
    """
    return CheckpointError(what_is_in(Path(path)))


def named_weights(variables: Sequence[Any]) -> dict[str, Any]:
    """Returns the variables by their paths.

    Raises:
        CheckpointError: two variables share a path, so that one would overwrite the other.
    """
    named: dict[str, Any] = {}
    for variable in variables:
        if variable.path in named:
            raise CheckpointError(f"two weights are called {variable.path!r}")
        named[variable.path] = variable
    return named


def save_preset(
    directory: str | Path,
    config: PresetConfig,
    variables: Sequence[Any],
    preprocessor: Preprocessor | None,
    *,
    values: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Writes a model folder.

    Args:
        directory: the folder; made if missing.
        config: of the model; its `adapters` say which LoRA weights `variables` have.
        variables: of the network.
        preprocessor: text to ids and back; None for a model that works on ids.
        values: what is written instead of the variables' own values, by their paths.

    Everything is written into a temporary folder first and moved at the end, the configuration
    last: a crash leaves no half-written file, and other files in `directory` stay as they are.

    Returns:
        the files written.
    """
    from safetensors.numpy import save_file

    directory = Path(directory)
    plain = [variable for variable in variables if not is_adapter(variable)]
    refuse_adapted(directory, plain, "a preset folder holds plain ones")
    values = values or {}
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(f"{directory} is a file; give a folder to save into")
    directory.mkdir(parents=True, exist_ok=True)
    names = [WEIGHTS_FILE, CONFIG_FILE]
    if preprocessor is not None:
        names.insert(0, TOKENIZER_FOLDER)
    with moved_into(directory, names, replaced=[TOKENIZER_FOLDER]) as beside:
        tensors = {
            name: np.ascontiguousarray(ops.convert_to_numpy(values.get(name, variable.value)))
            for name, variable in named_weights(variables).items()
        }
        save_file(tensors, beside / WEIGHTS_FILE, metadata={"format": "keras_s2s"})
        if preprocessor is not None:
            preprocessor.save(beside)
        text = yaml.safe_dump(
            config.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True
        )
        (beside / CONFIG_FILE).write_text(text, encoding="utf-8")
    return [directory / name for name in names]


def refuse_adapted(directory: str | Path, variables: Sequence[Any], but: str) -> None:
    """Raises an error for weights that a model built from the configuration does not have.

    Args:
        directory: the folder that was to be written.
        variables: of the model.
        but: the reason, for the message.

    Raises:
        CheckpointError: there are such; names a layer, and the remedy.
    """
    lora = [v for v in variables if v.name.startswith("lora_")]
    quantised = [
        v
        for v in variables
        if not is_float_dtype(v.dtype) or v.name.endswith(("_scale", "_amax_history"))
    ]
    for adapted, kind, remedy in (
        (
            quantised,
            "quantised",
            "save or export the model as it was before model.quantize(): its weights cannot be had "
            "back from the quantised ones. model.save('m.keras') keeps these as they are",
        ),
        (
            lora,
            "LoRA",
            "merge them first: model.save_to_preset('merged', merge_adapters=True), then "
            "Seq2SeqLM.from_preset('merged')",
        ),
    ):
        if adapted:
            layers = list(dict.fromkeys(v.path.rpartition("/")[0] for v in adapted))
            more = f" (and {len(layers) - 1} more)" if len(layers) > 1 else ""
            raise CheckpointError(
                f"{directory}: the layer {layers[0]}{more} has {kind} weights, but {but}; {remedy}"
            )


def load_config(directory: str | Path) -> PresetConfig:
    """Reads the `preset.yaml` of a model folder."""
    path = Path(directory) / CONFIG_FILE
    return read_config(PresetConfig, read_yaml(path), origin=str(path))


def load_preprocessor(directory: str | Path, config: PresetConfig) -> Preprocessor | None:
    """Reads the tokenizers of a model folder; None where it has none."""
    if not (Path(directory) / TOKENIZER_FOLDER).is_dir():
        return None
    return Preprocessor.load(directory, config.special_ids)


def check_sizes(directory: str | Path, config: PresetConfig) -> None:
    """Compares the sizes of `preset.yaml` with the tensors, before a network is made.

    Raises:
        FileNotFoundError: the folder has no weights.
        CheckpointError: the file is broken, or its tensors are not those of the model.
    """
    path = _weights_file(directory)
    found = _stored_shapes(path)
    wanted = variable_shapes(config.architecture)
    if wanted is not None:
        _check_shapes(path, found, wanted | adapter_shapes(wanted, config.adapters or {}))
    held = sum(math.prod(shape) for shape in found.values())
    if (least := smallest_count(config.architecture)) > held:
        raise CheckpointError(
            f"{path}: it holds {held:,} weights, but a model of the sizes in {CONFIG_FILE} has "
            f"{least:,} at least; the files do not belong together"
        )


def _weights_file(directory: str | Path) -> Path:
    path = Path(directory) / WEIGHTS_FILE
    if not path.is_file():
        raise MissingFileError(f"{path} is missing; the folder has a configuration but no weights")
    return path


def _stored_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    with contextlib.closing(SafetensorsFile(path)) as file:
        return {name: tuple(spec.shape) for name, spec in file.specs.items()}


def load_weights(directory: str | Path, variables: Sequence[Any]) -> tuple[str, ...]:
    """Assigns the weights of a model folder to `variables`, one tensor at a time.

    Returns:
        the types of the tensors.

    Raises:
        FileNotFoundError: the folder has no weights.
        CheckpointError: the file is broken, or its tensors are not those of the model: nothing
            is assigned then. Or tensors hold values that are not finite.
    """
    from safetensors import SafetensorError, safe_open

    path = _weights_file(directory)
    named = named_weights(variables)
    try:
        with safe_open(path, framework="numpy") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            _check_shapes(path, shapes, {path: tuple(v.shape) for path, v in named.items()})
            fill = Assignments(path)
            dtypes = set()
            for name, variable in named.items():
                tensor = file.get_tensor(name)
                dtypes.add(str(tensor.dtype))
                fill(name, variable, tensor)
            fill.finish()
            return tuple(sorted(dtypes))
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a readable safetensors file: {error}") from None


def _check_shapes(
    path: Path, found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]
) -> None:
    problems = [f"missing: {name}" for name in wanted if name not in found]
    problems += [f"unexpected: {name}" for name in found if name not in wanted]
    problems += [
        f"wrong shape: {name} is {shape}, the model has {wanted[name]}"
        for name, shape in found.items()
        if name in wanted and shape != wanted[name]
    ]
    if problems:
        shown = problems[:20] + (["..."] if len(problems) > 20 else [])
        raise CheckpointError(
            f"{path}: {len(problems)} tensors do not fit the model\n"
            + "\n".join(f"  {line}" for line in shown)
        )


__all__ = [
    "CheckpointError",
    "is_preset_folder",
    "load_config",
    "load_preprocessor",
    "load_weights",
    "named_weights",
    "not_a_preset_folder",
    "save_preset",
]
