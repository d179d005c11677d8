"""Merges in a graph against those of the `tokenizers` library, on tables of merges at random."""

from __future__ import annotations

import random

import keras
import pytest

from keras_s2s.export.in_graph.byte_pairs import BytePairMerges

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="runs under the TensorFlow backend"
)


def table(seed, shuffled):
    """A vocabulary and merges; shuffled ones may merge a symbol before it is made elsewhere."""
    rng = random.Random(seed)
    vocab = {c: i for i, c in enumerate("abcd")}
    merges = []
    for _ in range(30):
        pair = (rng.choice(list(vocab)), rng.choice(list(vocab)))
        if pair not in merges and len(pair[0] + pair[1]) < 9:
            merges.append(pair)
            vocab.setdefault("".join(pair), len(vocab))
    if shuffled:
        rng.shuffle(merges)
    return vocab, merges


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_merges_are_those_of_the_library(seed, shuffled):
    import tensorflow as tf
    from tokenizers import Tokenizer, models

    vocab, merges = table(seed, shuffled)
    library = Tokenizer(models.BPE(vocab, merges))
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcd", k=rng.randint(1, 30))) for _ in range(300)]
    words += ["a" * n for n in range(1, 20)] + ["ab" * 9]
    ranks = {(vocab[a], vocab[b]): (n, vocab[a + b]) for n, (a, b) in enumerate(merges)}
    symbols = tf.ragged.constant([[vocab[c] for c in word] for word in words], tf.int32)
    found = BytePairMerges(ranks)(symbols)
    assert found.to_list() == [library.encode(word).ids for word in words]


def test_nothing_to_merge():
    import tensorflow as tf

    empty = tf.RaggedTensor.from_row_lengths(tf.zeros([0], tf.int32), tf.zeros([0], tf.int64))
    assert BytePairMerges({(0, 1): (0, 2)})(empty).to_list() == []
    rows = tf.ragged.constant([[], [3], [0, 0]], tf.int32)
    assert BytePairMerges({(0, 1): (0, 2)})(rows).to_list() == [[], [3], [0, 0]]
