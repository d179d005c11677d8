"""Recurrent models from PyTorch: logits and greedy ids of modules made there, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from parity.torch_rnn_modules import (
    Attends,
    BothWays,
    Cells,
    EveryStep,
    Luong,
    Plain,
    Projected,
    Reference,
    Tutorial,
)
from small_models import covered, model_inputs, to_numpy

from keras_s2s.model import Seq2SeqLM

SPECIAL_IDS = {"source": {"pad": 0}, "target": {"decoder_start": 1, "eos": 2, "pad": 0}}
SOURCES = [[3, 4, 5, 6, 7, 3, 9], [10, 3], [8]]
TARGET = [1, 5, 12, 7, 3, 5]
LIMIT = 12

COURSE = {
    "names": ("embedding", "LSTM", "fc"),
    "halves": ("Encoder_LSTM", "Decoder_LSTM"),
}
ATTENTION_MODULES = {
    "attention.joint": {"name": "decoder.attention.attn", "inputs": ["query", "keys"]},
    "decoder.output": {"name": "decoder.fc_out", "inputs": ["hidden", "context", "embedding"]},
}


def attends(order: list[str]) -> dict[str, Any]:
    return {
        "modules": {"decoder.rnn": {"name": "decoder.rnn", "inputs": order}, **ATTENTION_MODULES},
        "architecture": {"bridge": {"activation": "tanh"}},
    }


def luong(feeds: bool) -> dict[str, Any]:
    modules: dict[str, Any] = {
        "attention.keys": "decoder.attn",
        "decoder.readout": {"name": "decoder.concat", "inputs": ["hidden", "context"]},
    }
    architecture: dict[str, Any] = {"bridge": {"type": "copy"}}
    if feeds:
        modules["decoder.rnn"] = {"name": "decoder.lstm", "inputs": ["feed", "embedding"]}
        architecture["decoder"] = {"attention": {"query": "current", "input_feeding": True}}
    return {"modules": modules, "architecture": architecture}


def rnn(activation: str) -> dict[str, Any]:
    return {"architecture": {"shared": {"activation": activation}}}


def projected(reads: str, activation: str) -> dict[str, Any]:
    return {"architecture": {"bridge": {"reads": reads, "activation": activation}}}


#: Name -> the module, and what the user says of it beside the special ids.
MODELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "gru": (lambda: Plain("gru"), {}),
    "gru_2_layers": (lambda: Plain("gru", 2, names=("embedding", "gru", "out")), {}),
    "gru_without_biases": (lambda: Plain("gru", bias=False), {}),
    "lstm_3_layers": (lambda: Plain("lstm", 3), {}),
    "lstm_of_a_course": (lambda: Plain("lstm", 2, **COURSE), {}),
    "rnn_tanh": (lambda: Plain("rnn", 2), rnn("tanh")),
    "rnn_relu": (lambda: Plain("rnn", nonlinearity="relu"), rnn("relu")),
    "relu_of_embeddings": (
        lambda: Plain("gru", relu=True),
        {"architecture": {"decoder": {"embedding": {"activation": "relu"}}}},
    ),
    "cells": (
        Cells,
        {"modules": {"decoder.rnn": "decoder.cells.{layer}"}},
    ),
    "gru_both_ways": (lambda: BothWays("gru", 2), {}),
    "lstm_both_ways_3_layers": (lambda: BothWays("lstm", 3), {}),
    "rnn_both_ways": (lambda: BothWays("rnn", 1), rnn("tanh")),
    "lstm_projected": (lambda: Projected("lstm", 1, "linear"), projected("own", "linear")),
    "lstm_2_layers_projected": (lambda: Projected("lstm", 2, "relu"), projected("own", "relu")),
    "gru_3_layers_projected": (lambda: Projected("gru", 3, "tanh"), projected("own", "tanh")),
    "attention": (Attends, attends(["embedding", "context"])),
    "attention_of_the_context_first": (
        lambda: Attends("context embedding"),
        attends(["context", "embedding"]),
    ),
    "attention_by_a_parameter": (
        lambda: Attends(vector=True),
        attends(["embedding", "context"]),
    ),
    "attention_over_2_layers": (lambda: Attends(layers=2), attends(["embedding", "context"])),
    "tutorial": (
        Tutorial,
        {
            "modules": {"decoder.rnn": {"name": "decoder.gru", "inputs": ["embedding", "context"]}},
            "architecture": {"bridge": {"type": "copy"}},
        },
    ),
    "every_step": (
        EveryStep,
        {
            "modules": {
                "decoder.rnn": {"name": "decoder.rnn", "inputs": ["embedding", "context"]},
                "decoder.output": {
                    "name": "decoder.fc_out",
                    "inputs": ["embedding", "hidden", "context"],
                },
            },
            "architecture": {"decoder": {"context": "every_step"}, "bridge": {"type": "copy"}},
        },
    ),
    "luong": (Luong, luong(False)),
    "luong_feeding": (lambda: Luong(True), luong(True)),
}

#: Those that JAX and TensorFlow run without -m slow.
COVER = ["gru_2_layers", "lstm_of_a_course", "rnn_relu", "lstm_2_layers_projected", "attention"]


def folder_of(path: Path, module: Any, said: dict[str, Any], file: str = "model.pt") -> Path:
    path.mkdir(parents=True, exist_ok=True)
    torch.save(module.state_dict(), path / file)
    text = yaml.safe_dump({"special_ids": SPECIAL_IDS, "generation": {"max_length": LIMIT}, **said})
    (path / "torch_rnn.yaml").write_text(text)
    return path


def load(folder: Path, **options: Any) -> Seq2SeqLM:
    return Seq2SeqLM.from_preset(folder, verbose=False, **options)


def logits_of(model: Seq2SeqLM) -> np.ndarray:
    inputs = model_inputs(SOURCES, [TARGET] * len(SOURCES), model.special_ids)
    return to_numpy(model(inputs))


def greedy_ids(model: Seq2SeqLM) -> list[list[int]]:
    inputs = model.network.frontend.batch(SOURCES)
    output = model.generate(inputs, max_length=LIMIT, return_output=True)
    return [
        row[:length].tolist() for row, length in zip(output.token_ids, output.lengths, strict=True)
    ]


def check(model: Seq2SeqLM, reference: Reference) -> None:
    expected = np.stack([reference.logits(source, TARGET) for source in SOURCES])
    tolerance = 1e-5 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(logits_of(model), expected, atol=tolerance, rtol=0)
    assert greedy_ids(model) == [reference.greedy(source, 1, 2, LIMIT) for source in SOURCES]


@pytest.mark.parametrize("name", covered(list(MODELS), COVER))
def test_a_module_of_pytorch_and_the_way_back(name: str, tmp_path: Path) -> None:
    make, said = MODELS[name]
    torch.manual_seed(3)
    reference = make().eval()
    model = load(folder_of(tmp_path / "theirs", reference, said))
    check(model, reference)

    model.export(tmp_path / "ours", format="torch_rnn")
    from safetensors.torch import load_file

    other = make().eval()
    other.load_state_dict(load_file(tmp_path / "ours" / "model.safetensors"), strict=True)
    tolerance = 1e-5 * max(1.0, float(np.abs(other.logits(SOURCES[0], TARGET)).max()))
    np.testing.assert_allclose(
        other.logits(SOURCES[0], TARGET), reference.logits(SOURCES[0], TARGET), atol=tolerance
    )
    again = load(tmp_path / "ours")
    for one, two in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(one.value), to_numpy(two.value))
    assert again.preset.architecture == model.preset.architecture
    assert again.preset.generation == model.preset.generation
