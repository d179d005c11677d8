"""Ten thousand random texts for every kind of tokenizer: ids and texts in the graph are Python's.

The table in docs/export.md is made of what these tests record:

    KERAS_BACKEND=tensorflow pytest -n0 -m slow -o junit_family=legacy --junitxml=found.xml \
        tests/export/test_in_graph_ten_thousand.py
    python tests/export/in_graph_table.py found.xml
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hugging_face_folders import random_texts, sentencepiece_model
from large_vocabularies import LARGE, sentences
from test_in_graph_pretrained import FOLDERS, REFUSED, SPECIAL, read
from test_in_graph_tokenizers import CONFIGS, trained
from unicode_texts import AWKWARD, texts_of_any_characters
from unicode_texts import random_texts as random_characters

from keras_s2s.export.in_graph.normalization import lowercase, newer_capitals
from keras_s2s.export.in_graph.registry import IN_GRAPH_TOKENIZERS, in_graph_tokenizer
from keras_s2s.text.pretrained.sentencepiece_file import SentencePieceFileTokenizer
from keras_s2s.text.pretrained.token_list import TokenListTokenizer
from keras_s2s.text.pretrained.tokenizer_files import TokenizerFiles

pytest.importorskip("transformers")

pytestmark = [
    pytest.mark.slow,
    # The twins are TensorFlow's alone: under another backend they would run the very same code.
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="runs under the TensorFlow backend"
    ),
]

COUNT = 10_000
#: Most texts of a difference that has a name: one in a thousand.
MOST = COUNT // 1000

LIST = ["<unk>", "</s>", "<pad>", *dict.fromkeys("\u2581abcdeTwo한청년이\u00a0")]
LIST_SPECIAL = {"unk": 0, "eos": 1, "pad": 2}


def model_file() -> SentencePieceFileTokenizer:
    model = sentencepiece_model(special=("<pad>", "</s>", "<unk>"))
    return SentencePieceFileTokenizer(
        TokenizerFiles({"spiece.model": model}, "test"), "T5Tokenizer"
    )


def both_sides(found: Any) -> list[Any]:
    return [found.source] if found.target is found.source else [found.source, found.target]


#: Makes the tokenizers of a case, in a folder.
CASES: dict[str, Callable[[Path], list[Any]]] = {
    **{name: lambda folder, name=name: [trained(name)] for name in CONFIGS},
    **{
        f"folder {name}": lambda folder, name=name: both_sides(read(name, folder))
        for name in FOLDERS
        if name not in REFUSED
    },
    "sentencepiece_file": lambda folder: [model_file()],
    "token_list": lambda folder: [TokenListTokenizer(LIST, "character", LIST_SPECIAL)],
}


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Any]]:
    """The tokenizers of a case, made once."""
    folder = tmp_path_factory.mktemp("tokenizers")
    return functools.cache(lambda name: CASES[name](folder / name.replace(" ", "_")))


@functools.cache
def random_strings() -> list[str]:
    """Words of many languages and special tokens, characters of few scripts, and of all."""
    texts = [*AWKWARD, *random_texts(4000, SPECIAL), *random_characters(3000, seed=11)]
    return [*texts, *texts_of_any_characters(COUNT - len(texts), seed=13)]


def in_bits(texts: list[Any], size: int = 2500) -> Iterator[list[Any]]:
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def ragged(rows: list[list[int]]) -> Any:
    import tensorflow as tf

    flat = np.array([i for row in rows for i in row], np.int32)
    return tf.RaggedTensor.from_row_lengths(flat, np.array(list(map(len, rows)), np.int64))


def is_sigma_beside_newer_capital(text: str) -> bool:
    """Whether a text is of the one kind that differs, where it is lowercased: a capital sigma is
    the last letter of a word for one side alone, since the letter beside it is a capital that
    TensorFlow's Unicode does not have yet.
    """
    return "Σ" in text and any(c in newer_capitals() for c in text)


def compare(tokenizer: Any, texts: list[str], record: Callable[[str, object], None]) -> None:
    """Every text has the ids that Python gives; these, and ids at random, have the same texts."""
    import tensorflow as tf

    assert len(texts) == COUNT
    twin = in_graph_tokenizer(tokenizer)
    encode = tf.function(
        twin.encode, autograph=False, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    expected = tokenizer.encode_batch(texts)
    found = [ids for bit in in_bits(texts) for ids in encode(tf.constant(bit)).to_list()]
    different_ids = [
        (text, ids, right)
        for text, ids, right in zip(texts, found, expected, strict=True)
        if ids != right
    ]

    silent = {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id}
    ordinary = [i for i in range(tokenizer.vocabulary_size) if i not in silent]
    rng = random.Random(5)
    rows = [[i for i in row if i not in silent] for row in expected]
    rows += [rng.choices(ordinary, k=rng.randint(0, 12)) for _ in texts]
    decode = tf.function(
        twin.decode,
        autograph=False,
        input_signature=[tf.RaggedTensorSpec([None, None], tf.int32, 1, tf.int64)],
    )
    decoded = [text.decode() for bit in in_bits(rows) for text in decode(ragged(bit)).numpy()]
    different_texts = [
        (row, text, right)
        for row, text, right in zip(rows, decoded, tokenizer.decode_batch(rows), strict=True)
        if text != right
    ]

    named = [text for text, *_ in different_ids if is_sigma_beside_newer_capital(text)]
    kind = tokenizer.kind
    if kind == "huggingface_pipeline":
        kind += f", {json.loads(tokenizer.pipeline.to_str())['model']['type']}"
    record("kind", kind)
    record("pieces", tokenizer.vocabulary_size)
    record("texts", len(texts))
    record("different ids", len(different_ids))
    record("different texts", len(different_texts))
    assert len(named) <= MOST
    other = [each for each in different_ids if each[0] not in named]
    assert not other, f"{len(other)}, first: {other[0]!r}"
    assert not different_texts, f"{len(different_texts)}, first: {different_texts[0]!r}"


@pytest.mark.parametrize("name", CASES)
def test_ids_and_texts_are_pythons(
    name: str,
    tokenizers: Callable[[str], list[Any]],
    record_property: Callable[[str, object], None],
) -> None:
    for tokenizer in tokenizers(name):
        compare(tokenizer, random_strings(), record_property)


def test_every_kind_is_here(tokenizers: Callable[[str], list[Any]]) -> None:
    kinds = {tokenizer.kind for name in CASES for tokenizer in tokenizers(name)}
    assert kinds == set(IN_GRAPH_TOKENIZERS)


def test_a_sigma_beside_a_newer_capital_is_the_one_difference() -> None:
    import tensorflow as tf

    capital = next(iter(newer_capitals()))
    text = f"{capital}Σ"
    found = lowercase(tf.constant([text, "AΣ", "ΣA", capital])).numpy()
    assert [each.decode() for each in found] == [
        f"{capital.lower()}σ",  # as if no letter stood before it
        *map(str.lower, ["AΣ", "ΣA", capital]),
    ]
    assert text.lower() == f"{capital.lower()}ς"
    assert is_sigma_beside_newer_capital(text) and not is_sigma_beside_newer_capital("AΣ")


@pytest.mark.parametrize("name", LARGE)
def test_vocabularies_of_real_size(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    tokenizer = LARGE[name](tmp_path)
    assert tokenizer.vocabulary_size >= 30_000
    # Every other text is made of words that the vocabulary has.
    texts = [*sentences(COUNT // 2), *random_strings()[::2]]
    compare(tokenizer, texts, record_property)
