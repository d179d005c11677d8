"""Normal forms, lowercasing, and what each kind does by default."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import slow_where_compiled
from text_samples import CORPUS

from keras_s2s.config import ConfigError, TokenizerConfig
from keras_s2s.text import train_tokenizer
from keras_s2s.text.trained.normalization import DEFAULT_FORMS, Normalizer

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
JAMO, SYLLABLE = "\u1112\u1161\u11ab", "\ud55c"
LIGATURE = "\ufb01"
OWN = sorted(set(DEFAULT_FORMS) - {"sentencepiece_unigram", "sentencepiece_bpe"})
SENTENCEPIECE = ["sentencepiece_unigram", "sentencepiece_bpe"]


@slow_where_compiled
@settings(max_examples=300, deadline=None)
@given(text=TEXT)
@pytest.mark.parametrize("form", ["none", "nfc", "nfkc"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_normal_form(form, lowercase, text):
    normalized = Normalizer(form, lowercase)(text)
    if form != "none":
        assert unicodedata.is_normalized(form.upper(), normalized)
    if not lowercase:
        expected = text if form == "none" else unicodedata.normalize(form.upper(), text)
        assert normalized == expected


@pytest.mark.parametrize("kind", sorted(DEFAULT_FORMS))
def test_default_form(kind):
    tokenizer = train_tokenizer([*CORPUS, SYLLABLE, LIGATURE, "fi"], TokenizerConfig(kind=kind))
    composes = kind not in ("byte", "byte_level_bpe")
    assert (tokenizer.encode(JAMO) == tokenizer.encode(SYLLABLE)) == composes
    folds = "sentencepiece" in kind
    assert (tokenizer.encode(LIGATURE) == tokenizer.encode("fi")) == folds


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("form", ["none", "nfc", "nfkc"])
def test_chosen_form(kind, form):
    corpus = [*CORPUS, JAMO, SYLLABLE, LIGATURE, "fi"]
    tokenizer = train_tokenizer(corpus, TokenizerConfig(kind=kind, normalization=form))
    assert (tokenizer.encode(JAMO) == tokenizer.encode(SYLLABLE)) == (form != "none")
    assert (tokenizer.encode(LIGATURE) == tokenizer.encode("fi")) == (form == "nfkc")


@pytest.mark.parametrize("kind", sorted(DEFAULT_FORMS))
def test_lowercase(kind):
    form = "nfkc" if kind in SENTENCEPIECE else None
    config = TokenizerConfig(kind=kind, lowercase=True, normalization=form)
    tokenizer = train_tokenizer(CORPUS, config)
    assert tokenizer.encode("TWO MÄNNER") == tokenizer.encode("two männer")
    assert tokenizer.decode(tokenizer.encode("TWO MEN")) == "two men"


@pytest.mark.parametrize("kind", SENTENCEPIECE)
def test_combinations_sentencepiece_does_not_have(kind):
    for options in ({"normalization": "nfc"}, {"normalization": "none", "lowercase": True}):
        with pytest.raises(ConfigError, match=r"supports normalization: none .* nfkc"):
            train_tokenizer(CORPUS, TokenizerConfig(kind=kind, **options))


def test_lowercase_composes_again():
    # There is a small J with caron, but no capital one.
    assert Normalizer("nfc", lowercase=True)("J\u030c") == "\u01f0"


def test_unknown_form():
    with pytest.raises(ConfigError, match="'nfd'; expected none, nfc or nfkc"):
        Normalizer("nfd")
