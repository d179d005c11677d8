"""What holds for every kind of tokenizer."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import slow_where_compiled
from text_samples import CORPUS, KINDS, SAMPLES

from keras_s2s.config import ConfigError, TokenizerConfig
from keras_s2s.text import TOKENIZERS, load_tokenizer, train_tokenizer
from keras_s2s.text.special_tokens import SPECIAL_TOKENS

# Any text that UTF-8 can represent.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def test_registry_has_every_configurable_kind():
    from typing import get_args

    from keras_s2s.config import TokenizerKind

    assert set(TOKENIZERS) == set(get_args(TokenizerKind))
    assert all(cls.kind == kind for kind, cls in TOKENIZERS.items())


def test_special_tokens_come_first(tokenizer):
    ids = (tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id)
    assert ids == tuple(range(len(SPECIAL_TOKENS)))
    assert tuple(tokenizer.id_to_token(i) for i in ids) == SPECIAL_TOKENS


def test_vocabulary_is_a_bijection(tokenizer):
    tokens = [tokenizer.id_to_token(i) for i in range(tokenizer.vocabulary_size)]
    assert len(set(tokens)) == tokenizer.vocabulary_size > len(SPECIAL_TOKENS)
    assert [tokenizer.token_to_id(token) for token in tokens] == list(range(len(tokens)))
    assert tokenizer.token_to_id("no such token") is None


@pytest.mark.parametrize("text", SAMPLES, ids=range(len(SAMPLES)))
def test_text_never_reaches_a_special_id(tokenizer, text):
    ids = tokenizer.encode(text)
    assert all(type(i) is int for i in ids)
    assert not {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id} & set(ids)
    assert all(0 <= i < tokenizer.vocabulary_size for i in ids)


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_in_the_training_text(kind):
    corpus = ["a </s> b <pad> c <unk> <s>", "</s></s> <pad>", *CORPUS] * 20
    tokenizer = train_tokenizer(corpus, TokenizerConfig(kind=kind))
    for text in ("</s>", " </s>", "<pad>", "x</s>y", "<s>", "</s></s> <pad>"):
        ids = tokenizer.encode(text)
        assert ids
        assert not {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id} & set(ids)
    assert tokenizer.decode(tokenizer.encode("a </s> b")).replace(" ", "") == "a</s>b"


def test_batch_equals_one_by_one(tokenizer):
    assert tokenizer.encode_batch(iter(SAMPLES)) == [tokenizer.encode(text) for text in SAMPLES]
    assert tokenizer.encode_batch([]) == []
    rows = tokenizer.encode_batch(SAMPLES[2:6])
    assert tokenizer.decode_batch(rows) == [tokenizer.decode(row) for row in rows]


def test_copies_for_worker_processes(tokenizer):
    copied = pickle.loads(pickle.dumps(tokenizer))
    assert copied.encode_batch(SAMPLES) == tokenizer.encode_batch(SAMPLES)
    assert copied.decode(copied.encode(CORPUS[0])) == CORPUS[0]


def test_empty_text(tokenizer):
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("text", CORPUS[:5])
def test_known_text_comes_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(max_examples=150, deadline=None)
@given(text=TEXT)
@pytest.mark.parametrize("kind", ["byte", "byte_level_bpe"])
def test_byte_kinds_are_lossless(tokenizers, kind, text):
    tokenizer = tokenizers[kind]
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.unk_id not in ids


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=4).filter(lambda texts: "".join(texts).strip()))
@pytest.mark.parametrize("form", ["none", "nfc", "nfkc"])
def test_characters_are_lossless_up_to_normalization(form, texts):
    tokenizer = train_tokenizer(texts, TokenizerConfig(kind="character", normalization=form))
    for text in texts:
        expected = text if form == "none" else unicodedata.normalize(form.upper(), text)
        assert tokenizer.decode(tokenizer.encode(text)) == expected


@settings(max_examples=150, deadline=None)
@given(text=TEXT.filter(lambda text: text.strip()))
def test_words_are_lossless_up_to_white_space(text):
    config = TokenizerConfig(kind="word", normalization="none")
    tokenizer = train_tokenizer([text], config)
    assert tokenizer.decode(tokenizer.encode(text)) == " ".join(text.split())


@settings(max_examples=60, deadline=None)
@given(text=TEXT)
@pytest.mark.parametrize("kind", ["sentencepiece_unigram", "sentencepiece_bpe"])
def test_sentencepiece_without_normalization_is_lossless(identity_tokenizers, kind, text):
    tokenizer = identity_tokenizers[kind]
    assert tokenizer.decode(tokenizer.encode(text)) == text.replace("▁", " ")


@pytest.fixture(scope="module")
def identity_tokenizers():
    return {
        kind: train_tokenizer(CORPUS, TokenizerConfig(kind=kind, normalization="none"))
        for kind in ("sentencepiece_unigram", "sentencepiece_bpe")
    }


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_ids_decode(tokenizers, data):
    tokenizer = tokenizers[data.draw(st.sampled_from(KINDS))]
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocabulary_size - 1), max_size=20))
    tokenizer.decode(ids).encode()
    assert len([tokenizer.printable(i) for i in ids]) == len(ids)
    assert all(tokenizer.printable(i).isprintable() for i in ids)


def test_decode_skips_padding_bos_and_eos_but_shows_unknown(tokenizer):
    ids = tokenizer.encode(CORPUS[0])
    framed = [tokenizer.bos_id, *ids, tokenizer.eos_id, tokenizer.pad_id, tokenizer.pad_id]
    assert tokenizer.decode(framed) == CORPUS[0]
    assert tokenizer.decode(np.array(framed)) == CORPUS[0]
    spelled = tokenizer.decode(framed, skip_special_ids=False)
    assert spelled == f"<s> {CORPUS[0]} </s> <pad> <pad>"
    assert tokenizer.decode([tokenizer.unk_id]).strip() == "⁇"


@pytest.mark.parametrize("bad", [-1, 10**9])
def test_ids_outside_the_vocabulary(tokenizer, bad):
    with pytest.raises(IndexError, match=rf"id {bad} at position 1 .* vocabulary of"):
        tokenizer.decode([5, bad])
    with pytest.raises(IndexError, match=str(bad)):
        tokenizer.id_to_token(bad)


def test_ids_that_are_not_integers(tokenizer):
    for bad in ([1.5], [[1, 2]], np.array([1.0]), ["a"]):
        with pytest.raises(TypeError, match="integer ids"):
            tokenizer.decode(bad)


def test_lone_surrogates_are_refused(tokenizer):
    with pytest.raises(ValueError, match=r"U\+D83D at position 2"):
        tokenizer.encode("ab\ud83d")
    with pytest.raises(ValueError, match=r"text 1 .* U\+DC00 at position 0"):
        tokenizer.encode_batch(["fine", "\udc00"])
    with pytest.raises(ValueError, match=r"text 1 .* U\+D800"):
        train_tokenizer(["fine", "\ud800"], TokenizerConfig(kind=tokenizer.kind))


def test_not_text_is_refused(tokenizer):
    with pytest.raises(TypeError, match="several texts"):
        tokenizer.encode_batch("text")
    with pytest.raises(TypeError, match="text 1 is a bytes"):
        tokenizer.encode_batch(["a", b"b"])
    with pytest.raises(TypeError, match="text 0 is a NoneType"):
        tokenizer.encode(None)


# --------------------------------------------------------------------------------------
# Files
# --------------------------------------------------------------------------------------


@slow_where_compiled
def test_save_and_load_in_another_process(tokenizers, tmp_path):
    for kind, tokenizer in tokenizers.items():
        written = tokenizer.save(tmp_path / kind, "source")
        assert sorted(written) == sorted((tmp_path / kind).iterdir())
    (tmp_path / "samples.json").write_text(json.dumps(SAMPLES))
    program = """
import json, pathlib, sys
from keras_s2s.text import load_tokenizer
root = pathlib.Path(sys.argv[1])
samples = json.loads((root / "samples.json").read_text())
result = {}
for folder in sorted(p for p in root.iterdir() if p.is_dir()):
    tokenizer = load_tokenizer(folder, "source")
    ids = tokenizer.encode_batch(samples)
    result[tokenizer.kind] = [ids, tokenizer.decode_batch(ids), tokenizer.vocabulary_size]
print(json.dumps(result))
"""
    output = _python(program, str(tmp_path))
    result = json.loads(output)
    assert set(result) == set(KINDS)
    for kind, (ids, texts, size) in result.items():
        assert ids == tokenizers[kind].encode_batch(SAMPLES)
        assert texts == tokenizers[kind].decode_batch(ids)
        assert size == tokenizers[kind].vocabulary_size


def test_saving_again_writes_the_same_bytes(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "a", "source")
    load_tokenizer(tmp_path / "a", "source").save(tmp_path / "b", "source")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "b").iterdir())
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_failed_save_leaves_the_old_files(tokenizers, tmp_path, monkeypatch):
    tokenizers["character"].save(tmp_path, "source")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other = train_tokenizer(["other"], TokenizerConfig(kind="character"))

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        other.save(tmp_path, "source")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_loading_names_what_is_wrong(tokenizers, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"source\.json"):
        load_tokenizer(tmp_path, "source")
    tokenizers["word"].save(tmp_path, "source")
    path = tmp_path / "source.json"
    good = json.loads(path.read_text())
    with pytest.raises(ConfigError, match="kind is 'word', but CharacterTokenizer"):
        TOKENIZERS["character"].load(tmp_path, "source")
    cases = [
        ("{", "not a JSON file"),
        ("[]", "expected a mapping"),
        (json.dumps({**good, "kind": "wrod"}), "unknown kind 'wrod'.*known kinds: character"),
        (json.dumps({**good, "format": 9}), "format is 9"),
        (json.dumps({k: v for k, v in good.items() if k != "files"}), "'files' is required"),
        (json.dumps({**good, "settings": {}}), "not a readable word tokenizer"),
        (json.dumps({**good, "files": {"../x": {"sha256": ""}}}), "file suffix"),
        (
            json.dumps({**good, "settings": {**good["settings"], "normalization": "nfd"}}),
            "normalization is 'nfd'",
        ),
    ]
    for content, message in cases:
        path.write_text(content)
        with pytest.raises(ConfigError, match=message) as raised:
            load_tokenizer(tmp_path, "source")
        assert str(path) in str(raised.value)


def test_files_of_two_savings_are_not_mixed(tokenizers, tmp_path):
    tokenizers["word"].save(tmp_path, "source")
    train_tokenizer(["other"], TokenizerConfig(kind="word")).save(tmp_path / "b", "source")
    (tmp_path / "b" / "source.vocabulary.json").replace(tmp_path / "source.vocabulary.json")
    with pytest.raises(ConfigError, match="do not belong together"):
        load_tokenizer(tmp_path, "source")
    (tmp_path / "source.vocabulary.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"vocabulary\.json is missing"):
        load_tokenizer(tmp_path, "source")


def _python(program: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True
    ).stdout
