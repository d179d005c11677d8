"""The preprocessor: special ids around sequences, decoding, files."""

from __future__ import annotations

import numpy as np
import pytest

from keras_s2s.config import ConfigError, SpecialIds, TextConfig, TokenizerConfig
from keras_s2s.text import Preprocessor, SentencePieceBPETokenizer, train_tokenizer

PAIRS = [("two men", "zwei Männer"), ("a dog", "ein Hund"), ("안녕", "hallo")]


def ids(source: dict | None = None, target: dict | None = None) -> SpecialIds:
    """Special ids of a trained tokenizer, with changes."""
    return SpecialIds.model_validate(
        {
            "source": {"pad": 0, "eos": 3, "unk": 1} | (source or {}),
            "target": {"pad": 0, "eos": 3, "unk": 1, "decoder_start": 2} | (target or {}),
        }
    )


@pytest.fixture(scope="module")
def tokenizer():
    texts = [text for pair in PAIRS for text in pair]
    return train_tokenizer(texts, TokenizerConfig(kind="character"))


def test_train_by_kind():
    preprocessor = Preprocessor.train(iter(PAIRS), "character")
    assert preprocessor.special_ids == ids()
    assert not preprocessor.joint
    assert preprocessor.source.token_to_id("안") is not None
    assert preprocessor.target.token_to_id("안") is None
    assert preprocessor.target.token_to_id("ä") is not None


def test_train_by_configuration():
    config = TextConfig(
        source=TokenizerConfig(kind="byte"),
        target=TokenizerConfig(kind="sentencepiece_bpe", byte_fallback=False),
        source_eos=False,
    )
    preprocessor = Preprocessor.train(PAIRS, config)
    assert preprocessor.source.kind == "byte"
    assert isinstance(preprocessor.target, SentencePieceBPETokenizer)
    assert preprocessor.special_ids.source.eos is None
    assert preprocessor.encode_source(["é"]) == [[0xC3 + 4, 0xA9 + 4]]


def test_keywords_override_the_configuration():
    config = TextConfig(source=TokenizerConfig(kind="character", lowercase=True))
    preprocessor = Preprocessor.train(PAIRS, config, vocab_size=9, joint=True)
    assert preprocessor.joint
    assert preprocessor.source.vocabulary_size == 9
    assert preprocessor.source.normalizer.lowercase
    assert Preprocessor.train(PAIRS, "word", vocab_size=7).target.vocabulary_size == 7


def test_joint_tokenizer_knows_both_sides():
    preprocessor = Preprocessor.train(PAIRS, "character", joint=True)
    assert preprocessor.source is preprocessor.target
    assert preprocessor.source.unk_id not in preprocessor.source.encode("안ä")


def test_train_errors():
    with pytest.raises(ConfigError, match="needs texts to be trained on, got none"):
        Preprocessor.train([], "character")
    with pytest.raises(ConfigError, match="kind"):
        Preprocessor.train(PAIRS, "charcter")
    with pytest.raises(ValueError, match="pair 1 is 'ab', expected a source and a target"):
        Preprocessor.train([("a", "b"), "ab"], "character")
    with pytest.raises(ValueError, match="pair 0"):
        Preprocessor.train([("a", "b", "c")], "character")
    for bad in (None, {"en": "a", "de": "b"}):
        with pytest.raises(ValueError, match="pair 0"):
            Preprocessor.train([bad], "character")
    with pytest.raises(TypeError, match="pair 1: text 1 is a NoneType"):
        Preprocessor.train([("a", "b"), ("c", None)], "character", joint=True)
    with pytest.raises(ValueError, match=r"pair 0: text 0 .* U\+D800"):
        Preprocessor.train([("\ud800", "b")], "character", joint=True)
    with pytest.raises(ConfigError, match="target: a word tokenizer needs texts"):
        Preprocessor.train([("a", " "), ("b", "")], "word")
    with pytest.raises(TypeError, match="TextConfig or a kind"):
        Preprocessor.train(PAIRS, None)
    config = TextConfig(
        source=TokenizerConfig(kind="byte"), target=TokenizerConfig(kind="character")
    )
    with pytest.raises(ConfigError, match="joint: true"):
        Preprocessor.train(PAIRS, config, joint=True)


def test_encoding_adds_special_ids(tokenizer):
    plain = tokenizer.encode("two men")
    default = Preprocessor(tokenizer, tokenizer, ids())
    assert default.encode_source(["two men", ""]) == [[*plain, 3], [3]]
    # The decoder start is no label, and is not among them.
    assert default.encode_target(["two men", ""]) == [[*plain, 3], [3]]
    with_bos = Preprocessor(tokenizer, tokenizer, ids({"bos": 2, "eos": None}, {"bos": 2}))
    assert with_bos.encode_source(["two men"]) == [[2, *plain]]
    assert with_bos.encode_target(["two men"]) == [[2, *plain, 3]]


@pytest.mark.parametrize(
    "target",
    [
        {},
        {"bos": 2},
        {"decoder_start": 3},  # BART: starts with EOS
        {"decoder_start": 0},  # T5: starts with padding
    ],
)
def test_decode_target(tokenizer, target):
    preprocessor = Preprocessor(tokenizer, tokenizer, ids(target=target))
    special = preprocessor.special_ids.target
    texts = ["zwei Männer", "Hund", ""]
    rows = preprocessor.encode_target(texts)
    width = max(map(len, rows)) + 2
    padded = np.array([row + [special.pad] * (width - len(row)) for row in rows])
    started = np.concatenate([np.full((3, 1), special.decoder_start), padded], axis=1)
    assert preprocessor.decode_target(rows) == texts
    assert preprocessor.decode_target(padded) == texts
    assert preprocessor.decode_target(started) == texts
    assert preprocessor.decode_target(list(padded)) == texts
    # What a decoder says after EOS does not count.
    rambling = [[*row, *tokenizer.encode("men")] for row in rows]
    assert preprocessor.decode_target(rambling)[:2] == texts[:2]
    assert preprocessor.decode_target([row[:-1] for row in rows]) == texts
    assert preprocessor.decode_target([]) == []


class _PadIsEos(type(train_tokenizer(["a"], TokenizerConfig(kind="character")))):
    """A tokenizer of a family that pads with EOS."""

    pad_id = property(lambda self: self.eos_id)


def test_padding_that_is_eos(tokenizer):
    padded = _PadIsEos(tokenizer.vocabulary, tokenizer.normalizer)
    for start in (2, 3):
        special = ids({"pad": 3}, {"pad": 3, "decoder_start": start})
        preprocessor = Preprocessor(padded, padded, special)
        row = tokenizer.encode("Hund")
        assert preprocessor.decode_target([[*row, 3, 3, 3], [start, *row, 3], [3, 3]]) == [
            "Hund",
            "Hund",
            "",
        ]


def test_decode_source(tokenizer):
    preprocessor = Preprocessor(tokenizer, tokenizer, ids({"bos": 2}))
    rows = preprocessor.encode_source(["two men", ""])
    assert preprocessor.decode_source([[*row, 0, 0] for row in rows]) == ["two men", ""]


def test_one_row_is_not_a_batch(tokenizer):
    preprocessor = Preprocessor(tokenizer, tokenizer, ids())
    for bad in ([5, 6], np.array([5, 6])):
        with pytest.raises(TypeError, match="wrap the ids of a single text"):
            preprocessor.decode_target(bad)
    with pytest.raises(TypeError, match="pass one row"):
        preprocessor.source_tokens([[5, 6]])


def test_tokens_for_pictures():
    preprocessor = Preprocessor.train(PAIRS, "character")
    (row,) = preprocessor.encode_source(["two men"])
    expected = ["t", "w", "o", "▁", "m", "e", "n", "</s>"]
    assert preprocessor.source_tokens(row) == expected
    assert preprocessor.source_tokens(np.array(row)) == expected
    assert preprocessor.target_tokens(preprocessor.encode_target(["Hund"])[0])[0] == "H"


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(("name", "wrong"), [("pad", 1), ("eos", 2), ("unk", 3), ("bos", 4)])
def test_special_ids_must_agree_with_the_tokenizer(tokenizer, side, name, wrong):
    own = getattr(tokenizer, f"{name}_id")
    with pytest.raises(ConfigError, match=rf"special_ids\.{side}\.{name} is {wrong} .* {own} \("):
        Preprocessor(tokenizer, tokenizer, ids(**{side: {name: wrong}}))


def test_special_ids_must_lie_in_the_vocabulary(tokenizer):
    size = tokenizer.vocabulary_size
    last = {"decoder_start": size - 1, "forced_bos": size - 1}
    Preprocessor(tokenizer, tokenizer, ids(target=last))
    for name in ("decoder_start", "forced_bos", "forced_eos", "eos"):
        message = rf"special_ids\.target\.{name} is {size}, outside .* {size} ids"
        with pytest.raises(ConfigError, match=message):
            Preprocessor(tokenizer, tokenizer, ids(target={name: size}))


@pytest.mark.parametrize("joint", [False, True])
def test_save_and_load(tmp_path, joint):
    preprocessor = Preprocessor.train(PAIRS, "sentencepiece_unigram", joint=joint)
    written = preprocessor.save(tmp_path)
    names = {"source.json", "source.model"} | (set() if joint else {"target.json", "target.model"})
    assert {path.name for path in (tmp_path / "tokenizer").iterdir()} == names
    assert {path.name for path in written} == names
    loaded = Preprocessor.load(tmp_path, preprocessor.special_ids)
    assert loaded.joint == joint
    texts = [text for pair in PAIRS for text in pair]
    assert loaded.encode_source(texts) == preprocessor.encode_source(texts)
    assert loaded.encode_target(texts) == preprocessor.encode_target(texts)
    with pytest.raises(ConfigError, match=r"special_ids\.target\.eos is 2"):
        Preprocessor.load(tmp_path, ids(target={"eos": 2}))


def test_joint_save_over_a_separate_one(tmp_path):
    Preprocessor.train(PAIRS, "character").save(tmp_path)
    joint = Preprocessor.train(PAIRS, "character", joint=True)
    joint.save(tmp_path)
    loaded = Preprocessor.load(tmp_path, joint.special_ids)
    assert loaded.joint
    assert not list((tmp_path / "tokenizer").glob("target*"))


def test_load_from_an_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tokenizer/source\.json"):
        Preprocessor.load(tmp_path, ids())
