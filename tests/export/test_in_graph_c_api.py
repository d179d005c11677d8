"""Tokenizers of every kind run in a server: TensorFlow's C API, with the ops that it has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import huggingface_tokenizer_cases
import keras
import pytest
from hugging_face_folders import random_texts
from unicode_texts import CORPUS

from keras_s2s.config import TokenizerConfig
from keras_s2s.export.in_graph.registry import in_graph_tokenizer
from keras_s2s.text import train_tokenizer
from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers

pytest.importorskip("transformers")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="runs under the TensorFlow backend"
    ),
]

TRAINED = ["word", "wordpiece", "byte_level_bpe"]
FOLDERS = [
    *("bart_mapped", "bert", "t5_listed", "pegasus", "mbart", "mbart50", "nllb", "m2m_100"),
    *("plbart_multi", "marian", "byt5", "blenderbot_small"),
]


def tokenizers(folder):
    for kind in TRAINED:
        yield kind, train_tokenizer(CORPUS * 3, TokenizerConfig(kind=kind, vocab_size=420))
    for name in FOLDERS:
        made = huggingface_tokenizer_cases.CASES[name](folder / name)
        model_type = json.loads((made / "config.json").read_text())["model_type"]
        found = load_pretrained_tokenizers(made, model_type)
        assert found is not None
        yield name, found.source


def save(tokenizer, directory):
    import tensorflow as tf

    twin = in_graph_tokenizer(tokenizer)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False)
    def both(text):
        ids = twin.encode(text)
        return {"ids": ids.to_tensor(-1, shape=[None, None]), "decoded": twin.decode(ids)}

    module = tf.Module()
    module.resources = twin.resources
    tf.saved_model.save(module, str(directory), signatures={"both": both})


def test_ids_and_texts_from_a_server(tmp_path):
    texts = random_texts(60, ["</s>", "<mask>", "[MASK]", "<extra_id_3>", ">>fra<<", "__en__"])
    kinds = dict(tokenizers(tmp_path / "folders"))
    call = {"signature": "both", "inputs": {"text": texts}}
    empty = {"signature": "both", "inputs": {"text": []}}
    models = []
    for name, tokenizer in kinds.items():
        save(tokenizer, tmp_path / name)
        models.append({"directory": str(tmp_path / name), "calls": [call, empty]})
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "c_api.py")],
        input=json.dumps({"models": models}),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert answer["imported"] == []
    known = {*answer["stock_ops"], *answer["text_ops"]}
    for (name, tokenizer), model in zip(kinds.items(), answer["models"], strict=True):
        assert set(model["ops"]) <= known, name
        assert not any("Mutable" in op or "PyFunc" in op for op in model["ops"]), name
        full, none = model["calls"]
        expected = tokenizer.encode_batch(texts)
        found = [[i for i in row if i >= 0] for row in full["outputs"]["ids"]]
        assert found == expected, name
        assert full["outputs"]["decoded"] == tokenizer.decode_batch(expected), name
        assert none["outputs"]["decoded"] == [], name
