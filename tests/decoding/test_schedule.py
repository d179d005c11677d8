"""Batches that are half done wait for each other, go on as one, and nobody's result changes."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import covered, source_mapping
from test_segments import CASES, DRIVER, MAX_LENGTH, OPTIONS, assert_equal, model

from keras_s2s.decoding import segments
from keras_s2s.decoding.drivers import few_sizes
from keras_s2s.decoding.drivers.driver import Driver, Segment
from keras_s2s.decoding.schedule import WAITING, decode
from keras_s2s.decoding.segments import FILLER, gathered
from keras_s2s.samplers.sampler import Result


class Scripted(Driver):
    """Decodes nothing: source i is done after `lengths[i]` steps, which are also its ids."""

    segment_steps = 4

    def __init__(self, lengths: list[int]) -> None:
        sampler = SimpleNamespace(copies=1, num_return_sequences=1)
        loop: Any = SimpleNamespace(sampler=sampler, full=lambda changing: False)
        super().__init__(loop, [], None)  # type: ignore[arg-type]
        self.lengths = np.asarray(lengths)
        self.sizes: list[int] = []  # rows of each step
        self.held = 0  # rows of all groups there are
        self.most_held = 0

    def _hold(self, rows: int) -> None:
        self.held += rows
        self.most_held = max(self.most_held, self.held)

    def start(self, inputs: Any, capacity: int) -> Any:
        self._hold(len(inputs["places"]))
        return inputs["places"], 0

    def candidates(self, fixed: Any) -> Any:
        return ()

    def _candidates(self, fixed: Any, size: int) -> Any:
        raise AssertionError("there are no shortlists")

    def segment(self, fixed: Any, changing: Any, begin: int, end: int, candidates: Any = ()) -> Any:
        assert changing == begin, "sources at different steps were joined"
        last = min(end, max(begin + 1, int(self.lengths[fixed].max())))
        self.sizes += [len(fixed)] * (last - begin)
        done = self.lengths[fixed] <= last
        if done.all():
            self.held -= len(fixed)
        return Segment(last, last, done, np.ones_like(done))

    def select(self, fixed: Any, changing: Any, rows: Any) -> Any:
        self.held -= len(fixed) - len(rows)
        return fixed[rows], changing

    def join(self, first: Any, second: Any, rows: Any) -> Any:
        assert first[1] == second[1], "sources at different steps were joined"
        both = np.concatenate([first[0], second[0]])
        self.held -= len(both) - len(rows)
        return both[rows], first[1]

    def grow(self, fixed: Any, changing: Any, capacity: int) -> Any:
        return changing

    def finish(self, changing: Any) -> Result:
        raise AssertionError("results come from `parts`")

    def parts(self, size: int, steps: int) -> list[tuple[Any, Any]]:
        """Places and ids of everything that `decode` yields, for batches of `size`."""
        places = np.arange(len(self.lengths))
        batches = [places[at : at + size] for at in range(0, len(places), size)]
        inputs = [(batch, {"places": batch}) for batch in batches]
        return [(part.places, part.result) for part in decode(self, inputs, steps)]


@pytest.fixture
def no_results(monkeypatch):
    """A group's results are the sources it holds."""
    monkeypatch.setattr(segments.RunningBatch, "result", lambda batch: batch._fixed)


LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=60)


@given(LENGTHS, st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_every_source_is_handed_out_once(lengths, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments.RunningBatch, "result", lambda batch: batch._fixed)
        driver = Scripted(lengths)
        found: Counter = Counter()
        for places, sources in driver.parts(size, 40):
            real = places != FILLER
            np.testing.assert_array_equal(places[real], sources[real])
            found.update(places[real].tolist())
    assert found == Counter(range(len(lengths)))
    full = min(size, len(lengths))
    assert max(driver.sizes) <= full
    assert driver.held == 0 and driver.most_held <= (WAITING + 1) * full


def test_batches_stay_full(no_results):
    """The steps of 320 sources of very different lengths, against one batch after the other."""
    lengths = np.random.default_rng(0).geometric(1 / 16, 320).clip(1, 64).tolist()
    joined = Scripted(lengths)
    joined.parts(32, 64)
    apart = Scripted([])
    for at in range(0, 320, 32):
        alone = Scripted(lengths[at : at + 32])
        alone.parts(32, 64)
        apart.sizes += alone.sizes
    assert np.mean(joined.sizes) > 23 > 15 > np.mean(apart.sizes)
    assert len(joined.sizes) < 0.6 * len(apart.sizes)


def test_what_waits_is_bounded(no_results, monkeypatch):
    """Sources that would all wait at another step do not pile up."""
    monkeypatch.setattr(Scripted, "segment_steps", 1)
    lengths = [step for at in range(1, 60) for step in (at, at, 60, 60)]
    driver = Scripted(lengths)
    driver.parts(4, 60)
    assert (WAITING - 1) * 4 < driver.most_held <= (WAITING + 1) * 4


@pytest.fixture
def joins(monkeypatch) -> Counter:
    """How often batches were joined, by the source lengths of both."""
    counts: Counter = Counter()
    method = DRIVER.join

    def join(self: Any, first: Any, second: Any, rows: Any) -> Any:
        counts[tuple(part[0][0].ids.shape[1] for part in (first, second))] += 1
        return method(self, first, second, rows)

    monkeypatch.setattr(DRIVER, "join", join)
    return counts


@pytest.mark.parametrize(("kind", "name"), covered(CASES, [("transformer", "beam")]))
def test_joining_changes_nothing(kind, name, joins, monkeypatch):
    monkeypatch.setattr(segments, "FIRST_CAPACITY", 6)
    monkeypatch.setattr(DRIVER, "segment_steps", 2)
    monkeypatch.setattr(few_sizes, "LEAST_ROWS", 4)
    rng = np.random.default_rng(3)
    rows = [[*rng.integers(4, 16, rng.integers(1, 12)).tolist(), 3] for _ in range(30)]
    options = {**OPTIONS[name], "max_length": MAX_LENGTH, "return_output": True}
    if "seed" in options:
        options["seed"] = list(range(30))
    sources = source_mapping(rows)
    whole = model(kind).generate(sources, batch_size=30, **options)
    assert not joins
    parts = model(kind).generate(sources, batch_size=6, **options)
    # Products of more rows add up in another order, and these models' logits are large.
    assert_equal(parts, whole, atol=5e-5)
    assert joins
    if keras.backend.backend() != "jax":  # there lengths are rounded up to eights
        assert any(first != second for first, second in joins), "no lengths that differ"


@pytest.mark.parametrize(
    ("live", "size", "beams", "rows"),
    [
        *[(2, 8, 1, 8), (2, 16, 1, 8), (12, 8, 1, 16), (2, 2, 1, 2), (9, 16, 1, 16), (2, 16, 4, 2)],
        *[(2, 12, 1, 12), (17, 100, 1, 25), (14, 12, 1, 16)],
    ],
)
def test_few_sizes_of_joined_batches(live, size, beams, rows):
    """One that shrinking makes, too, where that is enough; else a power of two."""
    sampler = SimpleNamespace(width=beams)
    few: Any = SimpleNamespace(loop=SimpleNamespace(sampler=sampler))
    few.rows_worth_keeping = lambda *sizes: few_sizes.FewSizes.rows_worth_keeping(few, *sizes)
    assert few_sizes.FewSizes.rows_when_joined(few, live, size) == rows


def test_gathered_without_sources():
    sampler: Any = SimpleNamespace(copies=2, num_return_sequences=6)
    assert gathered([], 0, sampler, 0).token_ids.shape == (0, 6, 0)
