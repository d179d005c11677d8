"""When a batch starts: times by hand, and clients that stay together."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from serving.clients import Shouting, posted
from small_models import COMPILES

from keras_s2s.serving.batching import Batcher
from keras_s2s.serving.patience import LONGEST_GAP, LONGEST_RETURN, Patience

pytestmark = [pytest.mark.slow] if COMPILES else []


def after_a_batch(seconds: float, requests: int, max_wait: float = 0.005) -> Patience:
    patience = Patience(max_wait)
    patience.ended(100.0, seconds, requests)
    return patience


def test_a_first_request_waits_for_max_wait() -> None:
    patience = Patience(0.005)
    patience.arrived(50.0)
    assert patience.start(50.0) == 50.005


def test_one_that_waited_during_the_batch_waits_for_those_that_return() -> None:
    patience = after_a_batch(seconds=2.0, requests=2)
    assert patience.start(99.0) == pytest.approx(100 + 2 * LONGEST_GAP)
    patience.arrived(100.05)
    assert patience.start(99.0) == pytest.approx(100.05 + 2 * LONGEST_GAP)
    patience.arrived(100.06)
    assert patience.start(99.0) < 100.06, "all have returned"


def test_no_longer_than_a_share_of_the_batch() -> None:
    patience = after_a_batch(seconds=2.0, requests=50)
    for i in range(49):
        patience.arrived(100 + 0.02 * i)
    assert patience.start(99.0) == pytest.approx(100 + 2 * LONGEST_RETURN)


def test_replies_on_their_way_prolong_the_gap() -> None:
    patience = after_a_batch(seconds=2.0, requests=50)
    patience.noticed(100.08)
    assert patience.start(99.0) == pytest.approx(100.08 + 2 * LONGEST_GAP)
    patience.noticed(101.0)
    assert patience.start(99.0) == pytest.approx(100 + 2 * LONGEST_RETURN)


def test_a_client_alone_waits_for_max_wait_only() -> None:
    patience = after_a_batch(seconds=10.0, requests=1)
    patience.arrived(100.001)
    assert patience.start(100.001) == pytest.approx(100.006)


def test_fast_batches_hardly_wait() -> None:
    patience = after_a_batch(seconds=0.01, requests=30)
    assert patience.start(99.999) == pytest.approx(100.004)  # its own max_wait


def test_parts_of_a_request_wait_for_nobody() -> None:
    """No client has got its results yet."""
    assert after_a_batch(seconds=2.0, requests=0).start(99.0) < 100


def test_without_max_wait_nothing_waits() -> None:
    assert after_a_batch(seconds=2.0, requests=9, max_wait=0.0).start(99.0) == 99.0


class Model:
    """Takes `seconds` for a batch, and notes their sizes."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.sizes: list[int] = []
        self.busy = threading.Event()

    def __call__(self, key: None, rows: list[int]) -> list[int]:
        self.sizes.append(len(rows))
        self.busy.set()
        time.sleep(self.seconds)
        return rows


def test_clients_that_begin_apart_come_together() -> None:
    """Eight clients begin while a batch of eight others is computed; nothing else joins them."""
    model = Model(0.4)
    batcher = Batcher(model, max_rows=16, max_wait=0.05)

    def client(number: int) -> None:
        if number >= 8:
            assert model.busy.wait(10)
        for _ in range(5):
            assert batcher.submit([number]).result(10) == [number]

    with ThreadPoolExecutor(16) as clients:
        list(clients.map(client, range(16)))
    batcher.close()
    assert sum(model.sizes) == 16 * 5
    # 8, 16, 16, 16, 16, 8; apart they would be ten batches of 8.
    assert len(model.sizes) < 9, model.sizes


def test_the_server_notices_requests_and_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once before a request is read, once when its results are there."""
    model = Shouting()
    noticed: list[int] = []
    monkeypatch.setattr(Batcher, "noticed", lambda self: noticed.append(len(model.batches)))
    reply = posted(model, "/v1/models/loud:predict", {"instances": ["a"]})
    assert reply.json()["predictions"][0]["text"] == "A"
    assert noticed == [0, 1]
