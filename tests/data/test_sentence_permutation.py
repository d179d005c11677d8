"""Sentence permutation: whole sentences, every order, and what ends one."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import slow_where_compiled

from keras_s2s.config import TokenizerConfig
from keras_s2s.data import SentencePermutation
from keras_s2s.text import train_tokenizer

STOP, QUESTION = 3, 4
RULE = SentencePermutation(end_ids=[STOP, QUESTION])


def split(ids):
    """Sentences by hand: a sentence is over where an end is followed by something else."""
    sentences = [[]]
    for i in ids:
        if sentences[-1] and sentences[-1][-1] in (STOP, QUESTION) and i not in (STOP, QUESTION):
            sentences.append([])
        sentences[-1].append(i)
    return [tuple(sentence) for sentence in sentences if sentence]


@given(
    ids=st.lists(st.sampled_from([STOP, QUESTION, 10, 11, 12]), max_size=30),
    seed=st.integers(0, 99),
)
@slow_where_compiled
def test_the_source_is_the_sentences_in_some_order(ids, seed):
    array = np.array(ids, "int32")
    source, target = RULE(array, np.random.default_rng(seed))
    assert target.tolist() == ids
    assert source.dtype == np.int32
    sentences = split(ids)
    found = [tuple(sentence.tolist()) for sentence in RULE.sentences(array)]
    assert found == sentences
    if len(sentences) <= 4:
        orders = {sum(order, ()) for order in permutations(sentences)}
        assert tuple(source.tolist()) in orders
    assert sorted(source.tolist()) == sorted(ids)
    assert RULE.longest(len(ids)) == (len(ids), len(ids))


@slow_where_compiled
def test_every_order_is_equally_likely():
    ids = np.array([10, STOP, 11, 11, STOP, 12, STOP])
    generator = np.random.default_rng(0)
    found = Counter(tuple(RULE(ids, generator)[0].tolist()) for _ in range(3000))
    assert len(found) == 6
    assert min(found.values()) > 400


def test_a_text_of_one_sentence_stays():
    ids = np.array([10, 11, QUESTION, STOP])
    assert RULE(ids, np.random.default_rng(0))[0].tolist() == ids.tolist()


TEXT = "Is it late?! It rains. 다 왔다. We stay！ End"


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("character", None),
        ("byte", None),
        ("word", None),
        ("wordpiece", 120),
        ("byte_level_bpe", 300),
        ("sentencepiece_unigram", 320),
    ],
)
@slow_where_compiled
def test_sentence_ends_of_a_tokenizer(kind, size):
    options = {"normalization": "none"} if kind.startswith("sentence") else {}
    config = TokenizerConfig(kind=kind, vocab_size=size, **options)
    tokenizer = train_tokenizer([TEXT] * 4, config)
    rule = SentencePermutation().bind(tokenizer)
    ids = np.array(tokenizer.encode(TEXT))
    found = [tokenizer.decode(sentence).strip() for sentence in rule.sentences(ids)]
    full_width = kind in ("character", "word", "wordpiece")  # bytes of a character are no mark
    if full_width:
        assert found == ["Is it late?!", "It rains.", "다 왔다.", "We stay！", "End"]
    else:
        assert found[:3] == ["Is it late?!", "It rains.", "다 왔다."]
    assert rule.bind(None) is rule, "its ids are known"


def test_without_a_tokenizer_or_ends():
    with pytest.raises(ValueError, match=r"there is no tokenizer.*end_ids"):
        SentencePermutation().bind(None)
    tokenizer = train_tokenizer(["abc"], TokenizerConfig(kind="character"))
    with pytest.raises(ValueError, match=r"no token of the tokenizer ends in one of .*end_ids"):
        SentencePermutation().bind(tokenizer)
    with pytest.raises(ValueError, match="end_ids has an id twice"):
        SentencePermutation(end_ids=[1, 1])
    with pytest.raises(ValueError, match="not known"):
        SentencePermutation()(np.arange(3), np.random.default_rng(0))
