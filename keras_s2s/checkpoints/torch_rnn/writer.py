"""Writes a recurrent network as the state dict of a model from PyTorch, with `torch_rnn.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from keras import ops

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.torch_rnn.description import FILE
from keras_s2s.checkpoints.torch_rnn.key_table import KeyTable, check_representable
from keras_s2s.checkpoints.torch_rnn.modules import (
    LAYER,
    REVERSE,
    Module,
    forms,
    usual_names,
)
from keras_s2s.checkpoints.torch_rnn.reader import stored_modules
from keras_s2s.config import (
    ArchitectureConfig,
    PresetConfig,
    RecurrentDecoderConfig,
    RecurrentEncoderConfig,
)

WEIGHTS_FILE = "model.safetensors"


def write_torch_rnn_folder(folder: Path, config: PresetConfig, variables: Sequence[Any]) -> None:
    """Writes `model.safetensors` and `torch_rnn.yaml`.

    A model that came from such a folder is written under the names that it had there, one made here
    under the first of the usual ones.

    Args:
        folder: exists.
        config: of the model.
        variables: of its network.

    Raises:
        CheckpointError: a network with parts that no such module has.
    """
    from safetensors.numpy import save_file

    check_representable(config.architecture)
    origin = config.origin
    if origin is not None and origin.format == "torch_rnn":
        modules = stored_modules(origin.config)
    else:
        modules = usual_modules(config.architecture)
    try:
        entries = KeyTable(config.architecture, modules).entries
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: the modules do not fit the network\n{error}") from None
    named = {variable.path: variable for variable in variables}
    tensors: dict[str, np.ndarray] = {}
    for entry in entries:
        weights = [np.asarray(ops.convert_to_numpy(named.pop(path).value)) for path in entry.ours]
        for name, array in zip(entry.theirs, entry.transform.write(weights), strict=True):
            tensors[name] = np.ascontiguousarray(array)
    if named:
        raise CheckpointError(
            f"{folder}: {', '.join(named)}: a recurrent model from PyTorch has no module for it"
        )
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    described = {
        "description": config.description,
        "weights": WEIGHTS_FILE,
        "modules": {role: module.described() for role, module in modules.items()},
        **config.model_dump(
            mode="json", include={"architecture", "special_ids"}, exclude_none=True
        ),
        "generation": config.generation.model_dump(mode="json", exclude_defaults=True),
    }
    text = yaml.safe_dump(described, sort_keys=False, allow_unicode=True)
    (folder / FILE).write_text(text, encoding="utf-8")


def usual_modules(architecture: ArchitectureConfig) -> dict[str, Module]:
    """Returns modules under the usual names for every part of a network."""
    encoder, decoder, bridge = architecture.encoder, architecture.decoder, architecture.bridge
    assert isinstance(encoder, RecurrentEncoderConfig)
    assert isinstance(decoder, RecurrentDecoderConfig) and bridge is not None
    attention = decoder.attention
    score = attention.score if attention else None
    found: dict[str, Module] = {}

    def add(role: str, *parts: str, inputs: Sequence[str] = (), end: str = "") -> None:
        name = usual_names(role)[0] + end
        form = next(forms(role, name))
        kept = {part: form[part] for part in parts}
        found[role] = Module(kept, tuple(inputs), name)

    def cells(side: RecurrentEncoderConfig | RecurrentDecoderConfig, both: bool) -> list[str]:
        parts = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if side.use_bias else [])]
        return parts + ([part + REVERSE for part in parts] if both else [])

    every = decoder.context == "every_step"
    before = attention is not None and attention.query == "previous"
    feeds = attention is not None and attention.input_feeding
    add("encoder.embedding", "weight")
    add("encoder.rnn", *cells(encoder, encoder.bidirectional))
    if bridge.type == "dense":
        end = "" if bridge.shared or decoder.num_layers == 1 else f".{LAYER}"
        add("bridge.hidden", "weight", "bias", end=end)
        if decoder.cell == "lstm":
            add("bridge.cell", "weight", "bias", end=end)
    add("decoder.embedding", "weight")
    second = "context" if every or before else "feed" if feeds else None
    add("decoder.rnn", *cells(decoder, False), inputs=["embedding", second] if second else [])
    if score in ("additive", "concat"):
        add("attention.query", "weight")
        add("attention.keys", "weight", *(["bias"] if score == "additive" else []))
        add("attention.score", "weight")
    elif score == "general":
        add("attention.keys", "weight")
    read = [] if decoder.readout_kind == "hidden" else ["hidden", "context"]
    if read and (every or before):
        read = ["hidden", "embedding", "context"] if every else [*read, "embedding"]
    if decoder.readout_kind == "dense":
        add("decoder.readout", "weight", "bias", inputs=read)
        read = []
    bias = ["bias"] if architecture.output.bias else []
    add("decoder.output", "weight", *bias, inputs=read)
    return found
