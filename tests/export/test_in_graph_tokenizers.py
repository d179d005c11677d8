"""Tokenizers in the graph give what the Python ones give."""

from __future__ import annotations

import random
import sys
import unicodedata

import keras
import numpy as np
import pytest
from unicode_texts import CORPUS, TEXTS

from keras_s2s.config import SpecialIds, TokenizerConfig
from keras_s2s.export import ExportError
from keras_s2s.export.in_graph.normalization import normalize
from keras_s2s.export.in_graph.preprocessor import InGraphPreprocessor, check_preprocessor
from keras_s2s.export.in_graph.registry import (
    IN_GRAPH_TOKENIZERS,
    check_tokenizer,
    in_graph_tokenizer,
)
from keras_s2s.export.in_graph.text_ops import valid_utf8
from keras_s2s.text import TOKENIZERS, Preprocessor, train_tokenizer
from keras_s2s.text.trained.character import CharacterTokenizer
from keras_s2s.text.trained.normalization import Normalizer

# The twins are TensorFlow's alone: under another backend they would run the very same code.
in_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="runs under the TensorFlow backend"
)

CONFIGS = {
    "character": {},
    "character nfkc lowercase": {"normalization": "nfkc", "lowercase": True},
    "character none": {"normalization": "none"},
    "character nfc lowercase": {"lowercase": True},
    "word": {},
    "word nfkc lowercase": {"normalization": "nfkc", "lowercase": True},
    "word none": {"normalization": "none"},
    "wordpiece": {"vocab_size": 300},
    "wordpiece nfkc lowercase": {"vocab_size": 300, "normalization": "nfkc", "lowercase": True},
    "byte_level_bpe": {"vocab_size": 320},
    "byte_level_bpe nfc lowercase": {
        "vocab_size": 320,
        "normalization": "nfc",
        "lowercase": True,
    },
    "byte": {},
    "byte nfc": {"normalization": "nfc"},
    "byte none lowercase": {"lowercase": True},
    "sentencepiece_unigram": {"vocab_size": 420},
    "sentencepiece_unigram no bytes": {"vocab_size": 200, "byte_fallback": False},
    "sentencepiece_unigram lowercase": {"vocab_size": 420, "lowercase": True},
    "sentencepiece_bpe": {"vocab_size": 420},
    "sentencepiece_bpe none": {"vocab_size": 420, "normalization": "none"},
    "sentencepiece_unigram none": {
        "vocab_size": 200,
        "normalization": "none",
        "byte_fallback": False,
    },
}


def trained(name: str):
    return train_tokenizer(CORPUS * 3, TokenizerConfig(kind=name.split()[0], **CONFIGS[name]))


def test_every_trained_kind_has_a_configuration_here():
    assert {name.split()[0] for name in CONFIGS} == set(TOKENIZERS)
    assert set(TOKENIZERS) < set(IN_GRAPH_TOKENIZERS)


@in_tensorflow
@pytest.mark.parametrize("name", CONFIGS)
def test_ids_and_texts_are_pythons(name):
    import tensorflow as tf

    tokenizer = trained(name)
    twin = in_graph_tokenizer(tokenizer)
    assert len(TEXTS) > 600
    expected = tokenizer.encode_batch(TEXTS)

    found = twin.encode(tf.constant(TEXTS))
    assert found.dtype == tf.int32
    assert found.to_list() == expected

    decoded = [text.decode() for text in twin.decode(found).numpy()]
    assert decoded == tokenizer.decode_batch(expected)


@in_tensorflow
@pytest.mark.parametrize("name", CONFIGS)
def test_any_ids_decode_as_in_python(name):
    import tensorflow as tf

    tokenizer = trained(name)
    twin = in_graph_tokenizer(tokenizer)
    rng = random.Random(7)
    silent = {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id}
    ids = [i for i in range(tokenizer.vocabulary_size) if i not in silent]
    rows = [[], *[rng.choices(ids, k=rng.randint(0, 12)) for _ in range(600)]]
    decoded = twin.decode(tf.ragged.constant(rows, tf.int32, ragged_rank=1))
    assert [text.decode() for text in decoded.numpy()] == tokenizer.decode_batch(rows)


@in_tensorflow
@pytest.mark.parametrize("form", ["none", "nfc", "nfkc"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_normalisation_of_every_known_character(form, lowercase):
    import tensorflow as tf

    known = [
        chr(c)
        for c in range(sys.maxunicode + 1)
        if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")
    ]
    assert len(known) > 140_000
    normalizer = Normalizer(form, lowercase)
    found = normalize(tf.constant(known), normalizer).numpy()
    differ = [c for c, text in zip(known, found, strict=True) if text.decode() != normalizer(c)]
    # Capital letters that one of the two Unicode versions does not know yet.
    assert len(differ) < (150 if lowercase else 1), differ
    assert all(unicodedata.category(c) == "Lu" and ord(c) > 0x2C00 for c in differ)


@in_tensorflow
def test_broken_utf8_becomes_replacement_characters():
    broken = [b"a\xffb", b"\xed\xa0\x80", b"\xe2\x82", "정상".encode(), b""]
    expected = [text.decode(errors="replace") for text in broken]
    assert [text.decode() for text in valid_utf8(broken).numpy()] == expected


@in_tensorflow
@pytest.mark.parametrize(
    ("kind", "bos", "eos"),
    [("character", True, True), ("character", False, False), ("sentencepiece_bpe", True, True)],
)
def test_preprocessor_surrounds_pads_and_cuts(kind, bos, eos):
    import tensorflow as tf

    base = Preprocessor.train([(t, t) for t in CORPUS], kind, vocab_size=420)
    data = base.special_ids.model_dump()
    data["source"].update(bos=base.source.bos_id if bos else None)
    data["source"].update(eos=base.source.eos_id if eos else None)
    python = Preprocessor(base.source, base.target, SpecialIds.model_validate(data))
    twin = InGraphPreprocessor(python)

    for texts in (TEXTS, ["a"], [""], []):
        ids, mask = twin.encode_source(tf.constant(texts, tf.string))
        assert ids.shape == mask.shape and ids.shape[1] >= 1
        rows = [row[real].tolist() for row, real in zip(ids.numpy(), mask.numpy(), strict=True)]
        assert rows == python.encode_source(texts)
        assert (ids.numpy()[~mask.numpy()] == python.special_ids.source.pad).all()

    rng = random.Random(3)
    lengths = [rng.randint(0, 9) for _ in range(500)]
    # Every special id occurs anywhere, EOS in the middle too.
    ids = [[rng.choice([rng.randrange(6), rng.randrange(60)]) for _ in range(9)] for _ in lengths]
    decoded = twin.decode_target(tf.constant(ids, tf.int32), tf.constant(lengths, tf.int32))
    rows = [row[:length] for row, length in zip(ids, lengths, strict=True)]
    assert [text.decode() for text in decoded.numpy()] == python.decode_target(rows)

    outside = tf.constant([[5, python.target.vocabulary_size]])
    with pytest.raises(tf.errors.InvalidArgumentError, match="outside the target tokenizer's"):
        twin.decode_target(outside, tf.constant([2]))


def test_other_kinds_are_refused_and_the_supported_ones_listed():
    class OtherTokenizer(CharacterTokenizer):
        kind = "other"

    good = train_tokenizer(CORPUS, TokenizerConfig(kind="character"))
    tokenizer = OtherTokenizer(good.vocabulary, good.normalizer)
    with pytest.raises(ExportError, match=r"other tokenizer.*preprocessor = None") as refused:
        check_tokenizer(tokenizer)
    assert all(kind in str(refused.value) for kind in IN_GRAPH_TOKENIZERS)
    ids = Preprocessor.train([("a", "a")], "character").special_ids
    for pair in ((good, tokenizer), (tokenizer, good)):
        with pytest.raises(ExportError, match="other"):
            check_preprocessor(Preprocessor(*pair, ids))


def test_unknown_normal_form_is_refused():
    tokenizer = train_tokenizer(CORPUS, TokenizerConfig(kind="character"))
    object.__setattr__(tokenizer.normalizer, "form", "nfd")
    with pytest.raises(ExportError, match=r"normalization: nfd of a character tokenizer"):
        check_tokenizer(tokenizer)


@in_tensorflow
@pytest.mark.parametrize(
    ("source", "target"),
    [("prefix", "forced_bos"), ("suffix", "decoder_start"), ("none", "source_prefix")],
)
def test_languages_stand_around_sources(source, target):
    """The default ones; and no text has them."""
    text = Preprocessor.train([(t, t) for t in CORPUS], "character", joint=True)
    codes = {"one": 5, "two": 6}
    data = text.special_ids.model_dump()
    data["languages"] = {"codes": codes, "source": source, "target": target}
    text = Preprocessor(text.source, text.target, SpecialIds.model_validate(data))
    text = text.in_languages("two" if source != "none" else None, "one")
    graph = InGraphPreprocessor(text)
    ids, mask = (part.numpy() for part in graph.encode_source(TEXTS[:8]))
    rows = [row[real].tolist() for row, real in zip(ids, mask, strict=True)]
    assert rows == text.encode_source(TEXTS[:8])
    assert all(set(row) & {5, 6} for row in rows)
    targets = [[5, 9, 6, 10, 3], [9, 10, 3, 5, 6]]
    found = graph.decode_target(np.array(targets, "int32"), [5, 5]).numpy()
    assert [text.decode() for text in found] == text.decode_target(targets)
