"""BART's text infilling: exact invariants, the share that is lost, and Poisson lengths."""

from math import exp, factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import slow_where_compiled

from keras_s2s.data import TextInfilling

MASK = 7


def rule(**options):
    return TextInfilling(**{"mask_id": MASK, **options})


def draw(objective, length, seed=0):
    ids = np.arange(100, 100 + length, dtype="int32")
    return ids, *objective(ids, np.random.default_rng(seed))


@given(
    length=st.integers(1, 200),
    share=st.floats(0.01, 1.0),
    mean=st.floats(1, 8),
    seed=st.integers(0, 2**32),
)
@slow_where_compiled
def test_every_draw(length, share, mean, seed):
    objective = rule(mask_share=share, mean_span_length=mean)
    ids, source, target = draw(objective, length, seed)
    assert source.dtype == target.dtype == np.int32
    assert target.tolist() == ids.tolist(), "the target is the text"
    kept = [i for i in source.tolist() if i != MASK]
    assert kept == sorted(kept), "what is kept stands in its order"
    assert set(kept) <= set(ids.tolist())
    lost = min(max(int(np.round(length * share)), 1), length)
    assert length - len(kept) == lost
    # A gap in the text has at least one mask where it was, masks stand nowhere in excess.
    masks = 0
    before = 99
    for i in [*source.tolist(), 100 + length]:
        if i == MASK:
            masks += 1
            continue
        assert masks > 0 or i == before + 1, "tokens vanished without a mask"
        masks, before = 0, i
    assert 1 <= len(source) - len(kept) <= lost
    assert len(source) <= objective.longest(length)[0] == length
    assert len(target) == objective.longest(length)[1]


@slow_where_compiled
def test_lengths_are_poisson():
    objective = rule()
    generator = np.random.default_rng(0)
    # A text so long that cutting the last span and dropping zeros in excess hardly counts.
    lengths = np.concatenate([objective.span_lengths(4000, generator) for _ in range(40)])
    assert lengths.sum() == 40 * 1200
    assert lengths.mean() == pytest.approx(3.0, abs=0.06)
    assert lengths.var() == pytest.approx(3.0, abs=0.15)
    for k in range(8):
        expected = exp(-3) * 3**k / factorial(k)
        assert np.mean(lengths == k) == pytest.approx(expected, abs=0.012), k


@slow_where_compiled
def test_spans_lie_anywhere():
    objective = rule(mask_share=0.25)
    generator = np.random.default_rng(0)
    ids = np.arange(100, 112, dtype="int32")
    starts = np.zeros(12)
    for _ in range(20_000):
        source, _ = objective(ids, generator)
        if len(source) == 10:  # one span of 3
            starts[int(np.argmax(source == MASK))] += 1
    assert starts[10:].sum() == 0
    assert starts.sum() > 3000
    np.testing.assert_allclose(starts[:10] / starts.sum(), 0.1, atol=0.02)


@slow_where_compiled
def test_a_span_of_length_zero_puts_a_mask_between_two_neighbours():
    objective = rule()
    inserted = 0
    for seed in range(200):
        _, source, _ = draw(objective, 40, seed)
        for before, mask, after in zip(source, source[1:], source[2:], strict=False):
            inserted += mask == MASK and after == before + 1 and before != MASK
    # 12 lost in about 4 spans; e^-3 = 5 % have length zero, and few of them stand at an edge
    # or beside another span.
    assert 15 < inserted < 80


def test_the_same_generator_gives_the_same_draw():
    one, other, third = (draw(rule(), 60, seed)[1].tolist() for seed in (5, 5, 6))
    assert one == other != third


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_share": 0}, "mask_share is 0; expected a share above 0"),
        ({"mask_share": 1.5}, r"mask_share is 1\.5; expected a number from 0 to 1"),
        ({"mean_span_length": 0}, "mean_span_length is 0; expected a number of 1 or more"),
        ({"mean_span_length": float("inf")}, "mean_span_length is infinite"),
        ({"mask_id": -1}, "mask_id"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        TextInfilling(**options)


def test_a_mask_id_is_needed():
    with pytest.raises(
        ValueError, match=r"needs a mask token, and there is no tokenizer.*mask: true"
    ):
        TextInfilling().bind(None)
    with pytest.raises(ValueError, match="the mask id is not known"):
        TextInfilling()(np.arange(9), np.random.default_rng(0))
