"""T5's span corruption: the paper's example, exact invariants, and the mask's statistics."""

from collections import Counter
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import slow_where_compiled

from keras_s2s.data import SpanCorruption, corrupt_spans

SENTINELS = list(range(9000, 9200))
X, Y, Z = SENTINELS[:3]


def restored(source, target):
    """The text: each sentinel of the source replaced by what follows it in the target."""
    spans, current = {}, None
    for i in target:
        if i in SENTINELS:
            current = spans.setdefault(i, [])
        else:
            current.append(i)
    text = []
    for i in source:
        text += spans[i] if i in SENTINELS else [i]
    return text


def rule(**options):
    return SpanCorruption(**{"sentinels": SENTINELS, **options})


def draw(objective, length, seed=0):
    ids = np.arange(100, 100 + length, dtype="int32")
    return ids, *objective(ids, np.random.default_rng(seed))


def runs(mask):
    """Lengths of the runs of a mask, and whether each is True."""
    edges = np.flatnonzero(np.diff(mask)) + 1
    return [(len(run), bool(run[0])) for run in np.split(mask, edges)]


def test_the_papers_example():
    words = ["Thank", "you", "for", "inviting", "me", "to", "your", "party", "last", "week"]
    ids = {word: i for i, word in enumerate(words)}
    lost = np.array([word in ("for", "inviting", "last") for word in words])
    source, target = corrupt_spans(np.arange(len(words)), lost, np.array([X, Y, Z]))
    named = {**{i: word for word, i in ids.items()}, X: "<X>", Y: "<Y>", Z: "<Z>"}
    shown = [" ".join(named[i] for i in row.tolist()) for row in (source, target)]
    assert shown == ["Thank you <X> me to your party <Y> week", "<X> for inviting <Y> last <Z>"]


@given(
    length=st.integers(2, 300),
    density=st.floats(0.01, 0.99),
    mean=st.floats(1, 20),
    ends=st.booleans(),
    seed=st.integers(0, 2**32),
)
@slow_where_compiled
def test_every_draw(length, density, mean, ends, seed):
    objective = rule(noise_density=density, mean_span_length=mean, ends_in_span=ends)
    ids, source, target = draw(objective, length, seed)
    assert source.dtype == target.dtype == np.int32
    assert restored(source.tolist(), target.tolist()) == ids.tolist()
    # Sentinels count up from the first one, on both sides; those of the source are the spans'.
    in_source = [i for i in source.tolist() if i in SENTINELS]
    in_target = [i for i in target.tolist() if i in SENTINELS]
    assert in_source == SENTINELS[: len(in_source)]
    assert in_target == SENTINELS[: len(in_target)]
    assert len(in_target) - len(in_source) in ((0,) if ends else (0, 1))
    # T5's numbers: noise tokens, then noise spans.
    noise = min(max(int(np.round(length * density)), 1), length - 1)
    spans = max(int(np.round(noise / mean)), 1)
    assert len(target) - len(in_target) == noise
    assert len(in_source) == min(spans, length - noise)
    assert source[0] == ids[0], "the first token is kept"
    assert (source[-1] in SENTINELS) or not ends
    longest = objective.longest(length)
    assert (len(source), longest[0]) == (longest[0], len(source))
    assert longest[1] - len(target) in ((0,) if ends else (0, 1))


def test_numbers_of_the_paper():
    # 512 tokens, 15 %, mean 3: 77 lost in 26 spans, as in T5's pre-training.
    objective = rule()
    assert objective.longest(512) == (512 - 77 + 26, 77 + 26)
    mask = objective.noise_mask(512, np.random.default_rng(1))
    assert (int(mask.sum()), sum(lost for _, lost in runs(mask))) == (77, 26)
    assert mask[-1] and not mask[0]


@slow_where_compiled
def test_all_divisions_are_equally_likely():
    # 8 ids, 4 lost in 2 spans: 3 divisions of the lost times 3 of the kept.
    objective = rule(noise_density=0.5, mean_span_length=2)
    generator = np.random.default_rng(0)
    draws = 9000
    found = Counter(tuple(objective.noise_mask(8, generator).tolist()) for _ in range(draws))
    assert len(found) == comb(3, 1) ** 2
    expected = draws / len(found)
    chi_square = sum((count - expected) ** 2 / expected for count in found.values())
    assert chi_square < 26.1, "99.9 % of fair draws (8 degrees of freedom)"


@slow_where_compiled
def test_a_span_lies_anywhere_where_texts_need_not_end_in_one():
    objective = rule(ends_in_span=False)
    generator = np.random.default_rng(0)
    found = Counter(int(np.argmax(objective.noise_mask(13, generator))) for _ in range(5500))
    assert sorted(found) == list(range(1, 12)), "two lost ids among 13, the first one kept"
    assert max(found.values()) < 1.25 * min(found.values())
    fixed = {int(np.argmax(rule().noise_mask(13, generator))) for _ in range(50)}
    assert fixed == {11}, "T5's own rule with one span: always the end"


@slow_where_compiled
@pytest.mark.parametrize("mean", [2, 3, 5])
def test_mean_length_of_spans_and_of_what_lies_between(mean):
    objective = rule(mean_span_length=mean)
    generator = np.random.default_rng(0)
    lost, kept = [], []
    for _ in range(200):
        for length, is_lost in runs(objective.noise_mask(400, generator)):
            (lost if is_lost else kept).append(length)
    # 60 of 400 are lost; a uniform division of n into k parts has parts of n / k on average,
    # the first part being 1 with probability (k - 1) / (n - 1).
    spans = round(60 / mean)
    assert np.mean(lost) == pytest.approx(60 / spans)
    assert np.mean(kept) == pytest.approx(340 / spans)
    assert np.mean(np.array(lost) == 1) == pytest.approx((spans - 1) / 59, abs=0.03)


def test_too_few_sentinels_give_fewer_and_longer_spans():
    objective = rule(sentinels=SENTINELS[:3])
    ids, source, target = draw(objective, 200)  # 30 lost, 10 spans wanted
    assert [i for i in source.tolist() if i in SENTINELS] == SENTINELS[:3]
    assert restored(source.tolist(), target.tolist()) == ids.tolist()
    assert len(target) == 30 + 3
    assert objective.short_of(200) == 7
    assert objective.short_of(20) == 0
    both = rule(sentinels=SENTINELS[:3], ends_in_span=False)
    _, source, target = draw(both, 200)
    assert sum(i in SENTINELS for i in source.tolist()) == 2, "one is left for the end"
    assert both.short_of(200) == 8


def test_the_same_generator_gives_the_same_draw():
    one, other, third = (draw(rule(), 60, seed) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one[1], third[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise_density": 0}, r"noise_density is 0; expected a share above 0 and below 1"),
        ({"noise_density": 1.0}, r"noise_density is 1\.0"),
        ({"noise_density": True}, "noise_density is True; expected a number"),
        ({"noise_density": float("nan")}, "noise_density is nan"),
        ({"mean_span_length": 0.5}, r"mean_span_length is 0\.5; expected a number of 1 or more"),
        ({"mean_span_length": float("inf")}, "mean_span_length is infinite"),
        ({"sentinels": [5, 6, 5]}, "sentinels has an id twice"),
        ({"sentinels": []}, "one id at least"),
        ({"sentinels": [5, -6]}, "0 or more"),
        ({"sentinels": [5], "ends_in_span": False}, "have two or more"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        SpanCorruption(**options)


def test_bad_calls():
    with pytest.raises(ValueError, match="the sentinels are not known yet"):
        SpanCorruption()(np.arange(9), np.random.default_rng(0))
    with pytest.raises(ValueError, match="the first id is lost"):
        corrupt_spans(np.arange(2), np.array([True, False]), np.array([X]))
    with pytest.raises(ValueError, match="2 spans, but 1 sentinels"):
        corrupt_spans(np.arange(4), np.array([0, 1, 0, 1], bool), np.array([X]))
    with pytest.raises(ValueError, match="must have one shape"):
        corrupt_spans(np.arange(4), np.array([0, 1], bool), np.array([X]))
    with pytest.raises(ValueError, match="2 or more"):
        rule().noise_mask(1, np.random.default_rng(0))
    with pytest.raises(
        ValueError, match=r"needs sentinels, and there is no tokenizer.*sentinels: 100"
    ):
        SpanCorruption().bind(None)
