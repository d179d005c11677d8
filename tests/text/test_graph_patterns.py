"""The splitting rules mean the same in RE2, so that TensorFlow's graph can follow them."""

from __future__ import annotations

import pytest
from text_samples import CORPUS, SAMPLES

from keras_s2s.text.trained.word import JOINER, split_words
from keras_s2s.text.trained.word_pattern import WHITESPACE, token_pattern
from keras_s2s.text.trained.wordpiece import detokenization_rules, detokenize

TEXTS = [*dict.fromkeys(CORPUS), *SAMPLES[:12], "a \u00a0 b\u3000c", "Don't! 3.14 '90s x’s"]


@pytest.fixture(scope="module")
def replace():
    """TensorFlow's RE2 replacement on a list of texts."""
    strings = pytest.importorskip("tensorflow").strings

    def apply(texts, pattern, rewrite):
        return [t.decode() for t in strings.regex_replace(texts, pattern, rewrite).numpy()]

    return apply


def test_words_in_re2(replace):
    # A break after every token, taken back where white space or the end follows anyway.
    joined = replace(TEXTS, f"({token_pattern()})", f"\\1\n{JOINER}")
    spaced = replace(joined, f"\n{JOINER}([{WHITESPACE}]|$)", r"\1")
    for text, split in zip(TEXTS, spaced, strict=True):
        assert split.split() == split_words(text)


def test_detokenization_in_re2(replace):
    texts = ["Well , it ' s 10 : 30 ( 3 . 5 % ) .", "a - b - c / d", "我 爱 你 。 你 呢 ？"]
    result = texts
    for pattern, rewrite in detokenization_rules():
        result = replace(result, pattern, rewrite)
    assert result == [detokenize(text) for text in texts]
    assert result[0] == "Well, it's 10:30 (3.5%)."
