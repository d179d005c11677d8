"""Batches whose texts are segmented anew in every epoch."""

from __future__ import annotations

import random

import numpy as np
import pytest
from fake_text import special_ids

from keras_s2s.config import ConfigError, SubwordSamplingConfig
from keras_s2s.data import Batches, DataError, TextInfilling
from keras_s2s.data import epoch_plans as plans_module
from keras_s2s.text import Preprocessor

SAMPLING = {
    "sentencepiece_unigram": {"alpha": 0.2},
    "sentencepiece_bpe": {"dropout": 0.3},
    "byte_level_bpe": {"dropout": 0.3},
}


def texts(count=400, seed=0):
    """Pairs of different sentences, each with its number in front, over few words."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(3, 9))) for _ in range(400)]

    def sentence(i):
        return f"{i} " + " ".join(draw.choices(words, k=draw.randint(1, 12)))

    return [(sentence(i), sentence(i)) for i in range(count)]


PAIRS = texts()


@pytest.fixture(scope="module", params=SAMPLING)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def preprocessor(kind):
    return Preprocessor.train(PAIRS, kind, vocab_size=300)


@pytest.fixture(scope="module")
def unigram():
    return Preprocessor.train(PAIRS, "sentencepiece_unigram", vocab_size=300)


def rows(batches):
    """Source and target ids of each real row of an epoch, in order."""
    found = []
    for i in range(len(batches)):
        x, y, w = batches[i]
        for row in range(len(y)):
            source = x["encoder_token_ids"][row][x["encoder_padding_mask"][row]]
            target = y[row][w[row] > 0]
            if len(target):
                found.append((source.tolist(), target.tolist()))
    return found


def by_text(batches, preprocessor):
    """Text of each pair -> its ids, of the current epoch."""
    found = {}
    for source, target in rows(batches):
        key = preprocessor.decode_source([source])[0], preprocessor.decode_target([target])[0]
        assert key not in found
        found[key] = source, target
    return found


def shapes(batches):
    return {
        (*batches[i][0]["encoder_token_ids"].shape, batches[i][1].shape[1])
        for i in range(len(batches))
    }


def test_every_epoch_has_every_pair_once_in_new_segmentations(kind, preprocessor):
    batches = Batches(
        PAIRS, preprocessor, batch_size=16, num_buckets=4, subword_sampling=SAMPLING[kind]
    )
    epochs = []
    all_shapes = set()
    for epoch in range(3):
        batches.epoch = epoch
        epochs.append(by_text(batches, preprocessor))
        assert sorted(epochs[-1]) == sorted(PAIRS)
        all_shapes |= shapes(batches)
    assert len(all_shapes) <= 4
    plain = by_text(Batches(PAIRS, preprocessor, batch_size=16), preprocessor)
    for side in (0, 1):
        for one, other in ((epochs[0], epochs[1]), (epochs[1], epochs[2]), (epochs[0], plain)):
            changed = sum(one[key][side] != other[key][side] for key in PAIRS)
            assert changed > len(PAIRS) / 2


def test_draws_follow_from_seed_and_epoch_alone(kind, preprocessor):
    sampling = SAMPLING[kind]

    def drawn(epoch=2, **options):
        batches = Batches(PAIRS, preprocessor, subword_sampling=sampling, **options)
        batches.epoch = epoch
        return by_text(batches, preprocessor)

    first = drawn(batch_size=16, seed=3)
    assert drawn(batch_size=16, seed=3) == first
    assert drawn(batch_size=200, batch_unit="tokens", num_buckets=3, seed=3) == first
    assert drawn(batch_size=5, shuffle=False, seed=3) == first
    assert drawn(batch_size=16, seed=4) != first
    assert drawn(batch_size=16, seed=3, epoch=1) != first


def test_a_pair_that_is_left_out_changes_no_other_draw(unigram):
    sampling = {"alpha": 0.2}
    pairs = [("", "x"), *PAIRS]
    without = [(" ", "x"), *PAIRS]  # blank as well
    one, other = (
        by_text(Batches(some, unigram, subword_sampling=sampling), unigram)
        for some in (pairs, without)
    )
    assert one == other


def test_one_side_alone(unigram):
    sampling = {"source": {"alpha": 0.2, "nbest_size": 8}}
    drawn = by_text(Batches(PAIRS, unigram, subword_sampling=sampling), unigram)
    plain = by_text(Batches(PAIRS, unigram), unigram)
    assert all(drawn[key][1] == plain[key][1] for key in PAIRS)
    assert sum(drawn[key][0] != plain[key][0] for key in PAIRS) > len(PAIRS) / 2


@pytest.mark.parametrize("overlong", ["drop", "truncate"])
def test_limits_hold_in_every_epoch(unigram, overlong):
    options = {"max_source_length": 18, "max_target_length": 14, "overlong": overlong}
    plain = Batches(PAIRS, unigram, **options)
    batches = Batches(PAIRS, unigram, subword_sampling={"alpha": 0.05}, **options)
    assert str(batches.report) == str(plain.report)
    at_the_limit = 0
    for epoch in range(3):
        batches.epoch = epoch
        found = rows(batches)
        assert len(found) == batches.report.kept
        assert max(len(source) for source, _ in found) <= 18
        assert max(len(target) for _, target in found) <= 14
        # Cut rows keep their EOS, and rows that are not cut their whole text.
        assert {target[-1] for _, target in found} == {unigram.special_ids.target.eos}
        known = set(unigram.decode_source([unigram.encode_source([s])[0] for s, _ in PAIRS]))
        cut = [s for s, _ in found if unigram.decode_source([s])[0] not in known]
        at_the_limit += len(cut)
    assert (at_the_limit > 0) == (overlong == "truncate")


def test_batches_of_tokens_are_as_many_in_every_epoch(unigram):
    batches = Batches(
        PAIRS, unigram, batch_size=300, batch_unit="tokens", subword_sampling={"alpha": 0.1}
    )
    number = len(batches)
    for epoch in range(6):
        batches.epoch = epoch
        assert len(batches) == number
        assert sorted(by_text(batches, unigram)) == sorted(PAIRS)
        with pytest.raises(IndexError):
            batches[number]


def test_an_epoch_that_would_need_more_batches_has_likelier_segmentations(unigram, monkeypatch):
    changed = []
    original = plans_module.EpochPlans._fewer

    def counted(self, examples, drawn, buckets, number, count):
        found, batches = original(self, examples, drawn, buckets, number, count)
        assert len(batches) <= count
        changed.append(number)
        return found, batches

    monkeypatch.setattr(plans_module.EpochPlans, "_fewer", counted)
    batches = Batches(
        PAIRS, unigram, batch_size=300, batch_unit="tokens", subword_sampling={"alpha": 5.0}
    )
    number = len(batches)
    # From now on draws are longer than those of the first epoch, by which batches were counted.
    batches._examples._sampling = SubwordSamplingConfig.model_validate({"alpha": 0.05})
    for epoch in range(1, 4):
        batches.epoch = epoch
        assert len(batches) == number
        assert sorted(by_text(batches, unigram)) == sorted(PAIRS)
    assert changed, "no epoch needed more batches than the first"


def test_the_rest_of_an_epoch_goes_on_with_its_draws(unigram):
    def make():
        return Batches(PAIRS, unigram, batch_size=16, subword_sampling={"alpha": 0.2})

    whole, again = make(), make()
    whole.epoch = again.epoch = 5
    expected = rows(whole)
    rest = again.rest_of_epoch(4)
    found = rows(rest)
    assert found == expected[-len(found) :]
    assert len(rest) == len(whole) - 4


def test_a_dataset_of_tensorflow_draws_anew(unigram):
    pytest.importorskip("tensorflow")
    batches = Batches(PAIRS[:40], unigram, batch_size=8, subword_sampling={"alpha": 0.2})
    dataset = batches.as_tf_dataset()
    for epoch in range(2):
        batches.epoch = epoch
        for (x, y, _), expected in zip(dataset, [batches[i] for i in range(5)], strict=True):
            np.testing.assert_array_equal(x["encoder_token_ids"], expected[0]["encoder_token_ids"])
            np.testing.assert_array_equal(y, expected[1])


@pytest.mark.parametrize("name", ["word", "character", "wordpiece", "byte"])
def test_kinds_with_one_segmentation_are_refused_by_name(name):
    preprocessor = Preprocessor.train(PAIRS[:50], name)
    with pytest.raises(ConfigError, match=f"subword_sampling.source.dropout: the {name} tokenizer"):
        Batches(PAIRS, preprocessor, subword_sampling={"dropout": 0.1})
    with pytest.raises(ConfigError, match=f"subword_sampling.target.alpha: the {name} tokenizer"):
        Batches(PAIRS, preprocessor, subword_sampling={"target": {"alpha": 0.1}})


def test_what_cannot_be_drawn_is_refused(unigram):
    with pytest.raises(ValueError, match="pairs of ids"):
        Batches([([5, 3], [6, 3])], special_ids=special_ids(), subword_sampling={"alpha": 0.1})
    with pytest.raises(ValueError, match="objective draws"):
        Batches(["a"], unigram, objective=TextInfilling(), subword_sampling={"alpha": 0.1})
    features = [(np.full((3, 2), 0.5), target) for _, target in PAIRS[:20]]
    with pytest.raises(ValueError, match="sources are feature"):
        Batches(features, unigram, subword_sampling={"alpha": 0.1})
    batches = Batches(features, unigram, subword_sampling={"target": {"alpha": 0.1}})
    assert batches[0][0]["encoder_features"].shape[2:] == (2,)
    with pytest.raises(ConfigError, match=r"alfa: unknown key"):
        Batches(PAIRS, unigram, subword_sampling={"alfa": 0.1})
    with pytest.raises(DataError, match="expected"):
        Batches("text", unigram, subword_sampling={"alpha": 0.1})
