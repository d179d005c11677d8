"""Bucket bounds: exact by comparison with all divisions, and never too short."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_s2s.data.epochs.buckets import LENGTH_MULTIPLE, assign_buckets, choose_buckets

lengths = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=40)


def choose(pairs, num_buckets, batch_size=4, batch_unit="sentences"):
    source, target = np.array(pairs).T
    buckets = choose_buckets(
        source, target, num_buckets=num_buckets, batch_size=batch_size, batch_unit=batch_unit
    )
    return buckets, assign_buckets(buckets, source, target)


def test_two_clear_groups():
    buckets, numbers = choose([(3, 3), (40, 38), (4, 2), (39, 40)], num_buckets=2, batch_size=2)
    assert [bucket.shape for bucket in buckets] == [(2, 4, 4), (2, 40, 40)]
    assert numbers.tolist() == [0, 1, 0, 1]


def test_rows_from_tokens():
    buckets, _ = choose([(4, 4)] * 30 + [(30, 40)] * 30, 2, batch_size=100, batch_unit="tokens")
    assert [bucket.shape for bucket in buckets] == [(25, 4, 4), (2, 30, 40)]
    buckets, _ = choose([(30, 40)], 2, batch_size=8, batch_unit="tokens")
    assert buckets[0].rows == 1


def test_no_more_buckets_than_pay_off():
    buckets, _ = choose([(40, 40)] * 1000 + [(36, 36)], num_buckets=6)
    assert len(buckets) == 1


def test_many_distinct_lengths():
    source = np.arange(1, 20001)
    buckets = choose_buckets(source, source, num_buckets=4, batch_size=8, batch_unit="sentences")
    # Uniform lengths divide evenly.
    assert [bucket.source_length for bucket in buckets] == pytest.approx(
        [5000, 10000, 15000, 20000], abs=100
    )


@given(pairs=lengths, num_buckets=st.integers(1, 6), tokens=st.booleans())
def test_every_example_fits_its_bucket(pairs, num_buckets, tokens):
    unit = "tokens" if tokens else "sentences"
    buckets, numbers = choose(pairs, num_buckets, batch_size=50, batch_unit=unit)
    assert 1 <= len(buckets) <= num_buckets
    for (source, target), number in zip(pairs, numbers, strict=True):
        bucket = buckets[number]
        assert source <= bucket.source_length and target <= bucket.target_length
        if number:
            shorter = buckets[number - 1]
            assert source > shorter.source_length or target > shorter.target_length
    for shorter, longer in itertools.pairwise(buckets):
        assert shorter.source_length <= longer.source_length
        assert shorter.target_length <= longer.target_length
    assert buckets[-1].source_length == max(source for source, _ in pairs)
    assert buckets[-1].target_length == max(target for _, target in pairs)


@given(values=st.lists(st.integers(1, 30), min_size=1, max_size=30), num_buckets=st.integers(1, 4))
def test_bounds_are_the_best(values, num_buckets):
    """Against every possible choice of bounds, with source and target of equal length."""
    _, numbers = choose([(v, v) for v in values], num_buckets)
    buckets, _ = choose([(v, v) for v in values], num_buckets)
    found = sum(buckets[number].source_length for number in numbers)

    longest = max(values)
    bounds = sorted({min(-(-v // LENGTH_MULTIPLE) * LENGTH_MULTIPLE, longest) for v in values})
    best = min(
        sum(next(b for b in sorted((*chosen, longest)) if b >= v) for v in values)
        for size in range(num_buckets)
        for chosen in itertools.combinations(bounds[:-1], size)
    )
    assert best <= found <= best * 1.01
