"""Counters of the server, in the format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

#: Upper bounds in seconds.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: Upper bounds in rows.
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counters of one server.

    Attributes:
        requests: finished requests, by route and status.
        seconds: time from a request to the end of its reply, by route.
        rows: rows that were computed, by model.
        batch_rows: sizes of batches, by model.
        batch_seconds: time that a batch takes, by model.

    Example:
        >>> metrics = Metrics()
        >>> metrics.requests.labels("/translate", "200").inc()
        >>> 'keras_s2s_requests_total{route="/translate",status="200"} 1.0' in metrics.text()
        True
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        # Of its own: several servers may run in one process, as they do in tests.
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "keras_s2s_requests",
            "Finished requests.",
            ("route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "keras_s2s_request_seconds",
            "Time from a request to the end of its reply.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.rows = Counter(
            "keras_s2s_rows", "Rows that were computed.", ("model",), registry=self.registry
        )
        self.batch_rows = Histogram(
            "keras_s2s_batch_rows",
            "Rows of a batch.",
            ("model",),
            buckets=ROWS,
            registry=self.registry,
        )
        self.batch_seconds = Histogram(
            "keras_s2s_batch_seconds",
            "Time that a batch takes.",
            ("model",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._queue = Gauge(
            "keras_s2s_queue_rows", "Rows that wait.", ("model",), registry=self.registry
        )
        self._active = Gauge(
            "keras_s2s_active_requests", "Requests in progress.", registry=self.registry
        )
        self._streams = Gauge(
            "keras_s2s_active_streams", "Streams in progress.", registry=self.registry
        )

    def observe_batches(self, model: str) -> Callable[[int, float], None]:
        """Returns a function that counts a batch of a model: its rows, and its seconds."""

        def observe(rows: int, seconds: float) -> None:
            self.rows.labels(model).inc(rows)
            self.batch_rows.labels(model).observe(rows)
            self.batch_seconds.labels(model).observe(seconds)

        return observe

    def watch_queue(self, model: str, length: Callable[[], int]) -> None:
        """Shows what a function returns as the number of rows that wait for a model."""
        self._queue.labels(model).set_function(length)

    def watch_requests(self, active: Callable[[], int], streams: Callable[[], int]) -> None:
        """Shows what functions return as the numbers of requests and streams in progress."""
        self._active.set_function(active)
        self._streams.set_function(streams)

    def text(self) -> str:
        """Returns all counters as text."""
        return generate_latest(self.registry).decode("utf-8")
