"""Training: determinism, vocabulary sizes, errors, silence."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from small_models import slow_where_compiled
from text_samples import CORPUS, KINDS, many_ties

from keras_s2s.config import ConfigError, TokenizerConfig
from keras_s2s.text import train_tokenizer

LEARNED = ("sentencepiece_unigram", "sentencepiece_bpe", "wordpiece", "byte_level_bpe")


@slow_where_compiled
def test_training_is_deterministic_across_processes():
    # Each process has its own hash seeds, which is what an unordered table would show.
    program = """
import hashlib, sys
sys.path[:0] = sys.argv[1:]
from text_samples import KINDS, many_ties
from keras_s2s.config import TokenizerConfig
from keras_s2s.text import train_tokenizer
for kind in KINDS:
    size = None if kind in ("byte", "character", "word") else 400
    tokenizer = train_tokenizer(many_ties(), TokenizerConfig(kind=kind, vocab_size=size))
    digest = hashlib.sha256()
    for name, content in sorted(tokenizer._files().items()):
        digest.update(content)
    print(kind, tokenizer.vocabulary_size, digest.hexdigest())
assert "keras" not in sys.modules
"""
    here = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program, *here], check=True, capture_output=True, text=True
        ).stdout
        for _ in range(3)
    ]
    assert len(outputs[0].splitlines()) == len(KINDS)
    assert outputs[0] == outputs[1] == outputs[2]


@pytest.mark.parametrize("kind", LEARNED)
def test_size_that_the_text_supports_is_met(kind):
    tokenizer = train_tokenizer(many_ties(), TokenizerConfig(kind=kind, vocab_size=330))
    assert tokenizer.vocabulary_size == 330


@pytest.mark.parametrize("kind", [*LEARNED, "character", "word"])
def test_size_that_the_text_does_not_support_shrinks_and_is_logged(kind, caplog):
    with caplog.at_level(logging.WARNING, logger="keras_s2s.text"):
        tokenizer = train_tokenizer(CORPUS, TokenizerConfig(kind=kind, vocab_size=20_000))
    assert tokenizer.vocabulary_size < 20_000
    assert f"{tokenizer.vocabulary_size} ids, fewer than vocab_size 20000" in caplog.text
    assert tokenizer.decode(tokenizer.encode(CORPUS[0])) == CORPUS[0]


@pytest.mark.parametrize("kind", ["character", "word"])
def test_small_vocabulary_keeps_the_most_frequent(kind):
    tokenizer = train_tokenizer(["b b b a a c"], TokenizerConfig(kind=kind, vocab_size=6))
    expected = [" ", "b"] if kind == "character" else ["b", "a"]
    assert [tokenizer.id_to_token(i) for i in (4, 5)] == expected
    assert tokenizer.encode("c") == [tokenizer.unk_id]


@pytest.mark.parametrize("kind", ["character", "word"])
def test_order_of_the_texts_does_not_matter(kind):
    config = TokenizerConfig(kind=kind)
    forward, backward = train_tokenizer(CORPUS, config), train_tokenizer(CORPUS[::-1], config)
    assert forward.vocabulary.tokens == backward.vocabulary.tokens


@pytest.mark.parametrize("kind", LEARNED)
@pytest.mark.parametrize("size", [1, 5, 100])
def test_size_too_small_for_the_kind(kind, size):
    with pytest.raises(ConfigError, match=rf"vocab_size {size} does not hold the \d+"):
        train_tokenizer(CORPUS, TokenizerConfig(kind=kind, vocab_size=size))


@pytest.mark.parametrize("kind", ["character", "word", "byte"])
def test_size_with_no_room_beside_the_special_tokens(kind):
    with pytest.raises(ConfigError, match=r"vocab_size 4 "):
        train_tokenizer(CORPUS, TokenizerConfig(kind=kind, vocab_size=4))
    with pytest.raises(ConfigError, match=r"vocab_size 2 "):
        train_tokenizer(CORPUS, TokenizerConfig(kind=kind, vocab_size=2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("texts", [[], ["", " \n\t", "\u3000"]], ids=["none", "blank"])
def test_empty_corpus(kind, texts):
    with pytest.raises(ConfigError, match=f"a {kind} tokenizer needs texts"):
        train_tokenizer(iter(texts), TokenizerConfig(kind=kind))


@pytest.mark.parametrize("kind", KINDS)
def test_one_tiny_text(kind):
    tokenizer = train_tokenizer(["a"], TokenizerConfig(kind=kind))
    assert tokenizer.decode(tokenizer.encode("a")) == "a"


def test_one_str_is_not_a_corpus():
    with pytest.raises(TypeError, match="several texts"):
        train_tokenizer("hello", TokenizerConfig(kind="character"))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {k for k in KINDS if "sentencepiece" in k}))
def test_options_of_another_kind_are_refused(kind):
    for option in ({"character_coverage": 0.9}, {"byte_fallback": False}):
        with pytest.raises(ConfigError, match=f"{next(iter(option))}.*SentencePiece"):
            train_tokenizer(CORPUS, TokenizerConfig(kind=kind, **option))


def test_libraries_write_nothing(capfd):
    for kind in KINDS:
        train_tokenizer(CORPUS, TokenizerConfig(kind=kind))
        with pytest.raises(ConfigError):
            train_tokenizer(CORPUS, TokenizerConfig(kind=kind, vocab_size=3))
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_training_text_is_read_once():
    texts = iter(CORPUS)
    train_tokenizer(texts, TokenizerConfig(kind="character"))
    assert next(texts, None) is None


def test_digest_sees_a_difference():
    # The determinism test compares digests; they must differ where vocabularies do.
    files = [
        train_tokenizer([text], TokenizerConfig(kind="character"))._files()["vocabulary.json"]
        for text in ("ab", "cd")
    ]
    assert len({hashlib.sha256(content).hexdigest() for content in files}) == 2
