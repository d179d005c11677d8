"""Tokenizers of Hugging Face folders in the graph give what the Python ones give."""

from __future__ import annotations

import json
import random

import huggingface_tokenizer_cases
import keras
import language_model_tokenizer_cases
import pytest
from hugging_face_folders import random_texts
from unicode_texts import AWKWARD

from keras_s2s.export.in_graph_tokenizers import in_graph_tokenizer
from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers

pytest.importorskip("transformers")

# The twins are TensorFlow's alone: under another backend they would run the very same code.
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="runs under the TensorFlow backend"
)

FOLDERS = {**huggingface_tokenizer_cases.CASES, **language_model_tokenizer_cases.CASES}
#: What runs by default; the others are slow.
QUICK = ["bart_mapped", "gpt2_prefix", "bert_mapped"]
SPECIAL = [
    *("<s>", "</s>", "<pad>", "<unk>", "<mask>", "<mask_1>", "<extra_id_3>", "<unk_3>", "<new>"),
    *("[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]", "[EOS]", "__start__", "<|endoftext|>"),
    *("__en__", "en_XX", "eng_Latn", ">>fra<<", ">>deu<< ", ">>xx", "__java__", "word"),
    *("<left>", "<both>", "<le", "<s>NOTUSED", "``quoted''"),
]


def read(name, folder):
    made = FOLDERS[name](folder / name)
    model_type = json.loads((made / "config.json").read_text())["model_type"]
    found = load_pretrained_tokenizers(made, model_type)
    assert found is not None
    return found


def compare(tokenizer, count):
    import tensorflow as tf

    twin = in_graph_tokenizer(tokenizer)
    texts = [*random_texts(count, SPECIAL), *AWKWARD]
    expected = tokenizer.encode_batch(texts)
    found = tf.function(twin.encode)(tf.constant(texts))
    assert found.dtype == tf.int32
    for text, ids, right in zip(texts, found.to_list(), expected, strict=True):
        assert ids == right, text

    silent = {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id}
    ordinary = [i for i in range(tokenizer.vocabulary_size) if i not in silent]
    rng = random.Random(5)
    rows = [[i for i in row if i not in silent] for row in expected]
    rows += [rng.choices(ordinary, k=rng.randint(0, 12)) for _ in range(count)]
    decoded = twin.decode(tf.ragged.constant(rows, tf.int32, ragged_rank=1)).numpy()
    for row, text, right in zip(rows, decoded, tokenizer.decode_batch(rows), strict=True):
        assert text.decode() == right, row


@pytest.mark.parametrize("name", QUICK)
def test_ids_and_texts_are_pythons(name, tmp_path):
    found = read(name, tmp_path)
    compare(found.source, 300)
    if found.target is not found.source:
        compare(found.target, 300)


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_ids_and_texts_of_ten_thousand(name, tmp_path):
    found = read(name, tmp_path)
    compare(found.source, 10_000)
    if found.target is not found.source:
        compare(found.target, 10_000)
