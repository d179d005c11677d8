"""The batcher: nothing lost, nothing mixed up, errors with their own request alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from small_models import COMPILES

from keras_s2s.serving.batching import Batcher, PartFailed, QueueClosed, QueueFull, RowFailed

# No backend has a part in this.
pytestmark = [pytest.mark.slow] if COMPILES else []


class FakeModel:
    """Notes its batches; a row is a number, its result a tenth more; rows below 0 are errors."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.batches: list[tuple[Any, list[Any]]] = []
        self.free = threading.Event()
        self.free.set()

    def __call__(self, key: Any, rows: list[Any]) -> list[Any]:
        assert self.free.wait(10)
        time.sleep(self.seconds)
        self.batches.append((key, list(rows)))
        bad = [row for row in rows if row < 0]
        if bad:
            raise ValueError(f"row {bad[0]} is negative")
        return [(key, row) for row in rows]

    @property
    def sizes(self) -> list[int]:
        return [len(rows) for _, rows in self.batches]


@pytest.fixture
def model() -> Iterator[FakeModel]:
    yield FakeModel()


def test_many_threads_get_their_own_results_in_order(model: FakeModel) -> None:
    model.seconds = 0.001
    batcher = Batcher(model, max_rows=16, max_wait=0.002, queue_rows=10_000)

    def client(number: int) -> None:
        for i in range(20):
            rows = [1000 * number + 10 * i + k for k in range(1 + (number + i) % 5)]
            key = number % 3
            assert batcher.submit(rows, key).result(10) == [(key, row) for row in rows]

    with ThreadPoolExecutor(24) as clients:
        list(clients.map(client, range(24)))
    batcher.close()
    assert max(model.sizes) <= 16
    assert sum(model.sizes) == sum(1 + (n + i) % 5 for n in range(24) for i in range(20))
    # They were batched at all.
    assert len(model.sizes) < sum(model.sizes) / 2


def test_what_waits_is_one_batch_and_keys_stay_apart(model: FakeModel) -> None:
    model.free.clear()
    batcher = Batcher(model, max_rows=8, max_wait=0.0)
    futures = [batcher.submit([0], "first")]
    time.sleep(0.05)  # the thread has taken it
    futures += [batcher.submit([i], "ab"[i % 2]) for i in range(1, 9)]
    model.free.set()
    for future in futures:
        future.result(10)
    batcher.close()
    assert model.batches == [
        ("first", [0]),
        ("b", [1, 3, 5, 7]),
        ("a", [2, 4, 6, 8]),
    ]


def test_a_row_without_a_result_fails_its_request_alone() -> None:
    sizes: list[int] = []

    def run(key: Any, rows: list[int]) -> list[Any]:
        sizes.append(len(rows))
        return [row if row >= 0 else ValueError("negative") for row in rows]

    batcher = Batcher(run, max_rows=5, max_wait=3600)
    futures = [batcher.submit(rows) for rows in ([1, 2], [3, -4], [5])]
    assert futures[0].result(10) == [1, 2] and futures[2].result(10) == [5]
    with pytest.raises(RowFailed, match="negative") as failed:
        futures[1].result(10)
    assert failed.value.row == 1
    assert sizes == [5], "computed once"
    batcher.close()


def test_a_full_batch_does_not_wait(model: FakeModel) -> None:
    batcher = Batcher(model, max_rows=2, max_wait=3600)
    both = [batcher.submit([1]), batcher.submit([2])]
    assert [future.result(10) for future in both] == [[(None, 1)], [(None, 2)]]
    assert model.sizes == [2]
    batcher.close()


def test_a_request_waits_for_others_and_not_for_ever(model: FakeModel) -> None:
    batcher = Batcher(model, max_rows=2, max_wait=0.3)
    began = time.monotonic()
    assert batcher.submit([3]).result(10) == [(None, 3)]
    assert time.monotonic() - began >= 0.3
    assert model.sizes == [1]
    batcher.close()


def test_a_long_request_is_divided_and_others_come_between(model: FakeModel) -> None:
    model.free.clear()
    batcher = Batcher(model, max_rows=4, max_wait=0.0)
    first = batcher.submit([0])
    time.sleep(0.05)
    long = batcher.submit(list(range(10, 20)))
    short = batcher.submit([99])
    model.free.set()
    assert long.result(10) == [(None, row) for row in range(10, 20)]
    assert short.result(10) == [(None, 99)]
    first.result(10)
    batcher.close()
    assert model.batches[1][1] == [10, 11, 12, 13]
    assert 99 in model.batches[2][1]


def test_a_request_that_must_not_be_divided_is_not(model: FakeModel) -> None:
    model.free.clear()
    batcher = Batcher(model, max_rows=4, max_wait=0.0, divides=False)
    first = batcher.submit([0])
    time.sleep(0.05)
    others = [batcher.submit(list(range(n))) for n in (3, 2, 6, 1)]
    model.free.set()
    for future, n in zip(others, (3, 2, 6, 1), strict=True):
        assert future.result(10) == [(None, row) for row in range(n)]
    first.result(10)
    batcher.close()
    assert model.sizes == [1, 3, 2, 6, 1]


def test_an_error_reaches_its_own_request_alone(model: FakeModel) -> None:
    model.free.clear()
    batcher = Batcher(model, max_rows=8, max_wait=0.0)
    first = batcher.submit([0])
    time.sleep(0.05)
    futures = [batcher.submit([row]) for row in (1, -2, 3)]
    model.free.set()
    assert futures[0].result(10) == [(None, 1)]
    with pytest.raises(ValueError, match="row -2 is negative"):
        futures[1].result(10)
    assert futures[2].result(10) == [(None, 3)]
    first.result(10)
    # The thread is still there.
    assert batcher.submit([4]).result(10) == [(None, 4)]
    batcher.close()


def test_a_divided_request_fails_as_a_whole(model: FakeModel) -> None:
    batcher = Batcher(model, max_rows=2, max_wait=0.0)
    with pytest.raises(PartFailed, match="row -1") as failed:
        batcher.submit([1, 2, -1, 3, 4, 5, 6]).result(10)
    assert failed.value.start == 2
    assert isinstance(failed.value.error, ValueError)
    assert batcher.submit([7]).result(10) == [(None, 7)]
    batcher.close()
    assert sum(model.sizes) < 8  # its last parts were dropped


def test_a_wrong_number_of_results_is_an_error() -> None:
    batcher = Batcher(lambda key, rows: rows[1:], max_wait=0.0)
    with pytest.raises(RuntimeError, match="3 rows gave 2 results"):
        batcher.submit([1, 2, 3]).result(10)
    batcher.close()


def test_a_full_queue_refuses(model: FakeModel) -> None:
    model.free.clear()
    batcher = Batcher(model, max_rows=4, max_wait=0.0, queue_rows=5)
    first = batcher.submit([0])
    time.sleep(0.05)
    waiting = batcher.submit([1, 2, 3])
    assert batcher.queued == 3
    with pytest.raises(QueueFull, match="3 rows wait already, of at most 5"):
        batcher.submit([4, 5, 6])
    small = batcher.submit([7, 8])
    model.free.set()
    assert [len(f.result(10)) for f in (first, waiting, small)] == [1, 3, 2]
    batcher.close()


def test_what_was_given_up_is_not_computed(model: FakeModel) -> None:
    model.free.clear()
    batcher = Batcher(model, max_rows=4, max_wait=0.0, queue_rows=4)
    first = batcher.submit([0])
    time.sleep(0.05)
    given_up = batcher.submit([1, 2, 3, 4])
    assert given_up.cancel()
    kept = batcher.submit([5, 6, 7, 8])  # there is room again
    model.free.set()
    assert len(kept.result(10)) == 4
    first.result(10)
    batcher.close()
    assert model.batches == [(None, [0]), (None, [5, 6, 7, 8])]


def test_close_computes_what_waits(model: FakeModel) -> None:
    model.seconds = 0.01
    batcher = Batcher(model, max_rows=2, max_wait=60.0)
    futures = [batcher.submit([i], i % 2) for i in range(9)]
    batcher.close()
    assert [future.result(0) for future in futures] == [[(i % 2, i)] for i in range(9)]
    with pytest.raises(QueueClosed):
        batcher.submit([1])


def test_no_rows_give_no_results(model: FakeModel) -> None:
    batcher = Batcher(model)
    assert batcher.submit([]).result(1) == []
    batcher.close()
    assert model.batches == []


def test_batches_are_observed() -> None:
    seen: list[tuple[int, float]] = []
    batcher = Batcher(
        lambda key, rows: rows,
        max_wait=0.0,
        observe=lambda rows, seconds: seen.append((rows, seconds)),
    )
    batcher.submit([1, 2, 3]).result(10)
    batcher.close()
    assert [rows for rows, _ in seen] == [3]
    assert seen[0][1] >= 0
