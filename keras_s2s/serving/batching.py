"""Dynamic batching: rows of requests that wait at the same time are computed together."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any

from keras_s2s.serving.patience import Patience

#: Computes a batch: what the rows have in common, and the rows; returns a result for each row. One
#: that is an exception fails the request of its row alone.
Run = Callable[[Any, list[Any]], Sequence[Any]]


class QueueFull(Exception):
    """Raised where the queue has no room for the rows of a request."""


class QueueClosed(Exception):
    """Raised where the queue takes no further requests, since the server stops."""


class PartFailed(Exception):
    """Raised for a request whose rows were divided, with what a later part of it raised.

    Attributes:
        start: number of the first row of that part.
        error: that it raised.
    """

    def __init__(self, start: int, error: BaseException) -> None:
        super().__init__(str(error))
        self.start, self.error = start, error


class RowFailed(Exception):
    """Raised for a request with a row that has no result, with what was wrong with it.

    Attributes:
        row: its number among those of the request.
        error: that `run` returned for it.
    """

    def __init__(self, row: int, error: Exception) -> None:
        super().__init__(str(error))
        self.row, self.error = row, error


@dataclass(eq=False)
class _Job:
    """A request in the queue: rows `[0, taken)` of it were taken, `done` of them are computed."""

    key: Hashable
    rows: list[Any]
    arrived: float
    keeps_errors: bool = False
    future: Future[list[Any]] = field(default_factory=Future)
    taken: int = 0
    done: int = 0
    results: list[Any] = field(default_factory=list)

    @property
    def left(self) -> int:
        return len(self.rows) - self.taken

    def settle(self, error: BaseException | None = None) -> None:
        """Hands over the results, or the error; a request that was given up wants neither."""
        with contextlib.suppress(InvalidStateError):
            if error is None:
                self.future.set_result(self.results)
            else:
                self.future.set_exception(error)


@dataclass(frozen=True)
class _Part:
    """Rows of a job that are in one batch."""

    job: _Job
    start: int
    count: int

    @property
    def rows(self) -> list[Any]:
        return self.job.rows[self.start : self.start + self.count]


class Batcher:
    """A queue of rows, and one thread that computes them in batches.

    The thread takes what waits as soon as there are `max_rows` rows with the same key, or the
    oldest request has waited for `max_wait` seconds; after a batch, its clients are given a moment
    to send their next requests (`Patience`). Requests come in their order. A request with more
    rows than a batch is taken in parts, and others come between the parts. If a batch fails, its
    requests are computed one by one, so that an error reaches the request that caused it.

    Args:
        run: computes a batch.
        max_rows: most rows of a batch.
        max_wait: longest time in seconds that a request waits for others.
        queue_rows: most rows that wait.
        divides: a request may be divided among batches.
        name: of the thread.
        observe: called with the number of rows of each batch, and the seconds that it took.

    Example:
        >>> batcher = Batcher(lambda key, rows: [row.upper() for row in rows])
        >>> batcher.submit(["a", "b"]).result()
        ['A', 'B']
        >>> batcher.close()
    """

    def __init__(
        self,
        run: Run,
        *,
        max_rows: int = 32,
        max_wait: float = 0.005,
        queue_rows: int = 1024,
        divides: bool = True,
        name: str = "batcher",
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        self.max_rows, self.queue_rows = max_rows, queue_rows
        self._patience = Patience(max_wait)
        self._run, self._divides, self._observe = run, divides, observe
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        """The number of rows that wait."""
        with self._changed:
            self._drop_settled()
            return sum(job.left for job in self._jobs)

    def submit(
        self, rows: Sequence[Any], key: Hashable = None, *, keep_errors: bool = False
    ) -> Future[list[Any]]:
        """Puts the rows of a request into the queue.

        Args:
            rows: of the request; may be none.
            key: only rows with equal keys are computed together; it is passed to `run`.
            keep_errors: a row without a result does not fail the others of the request: what is
                wrong with it stands among their results.

        Returns:
            a future with a result for each row, in their order. If it is cancelled, rows that
            still wait are dropped.

        Raises:
            QueueFull: too many rows wait already.
            QueueClosed: `close` was called.
        """
        job = _Job(key, list(rows), time.monotonic(), keep_errors)
        with self._changed:
            if self._closed:
                raise QueueClosed("no further requests are taken")
            self._drop_settled()
            waiting = sum(each.left for each in self._jobs)
            if waiting + len(job.rows) > self.queue_rows:
                raise QueueFull(f"{waiting} rows wait already, of at most {self.queue_rows}")
            self._patience.arrived(job.arrived)
            if job.rows:
                job.results = [None] * len(job.rows)
                self._jobs.append(job)
                self._changed.notify()
            else:
                job.settle()
        return job.future

    def noticed(self) -> None:
        """Notes that a reply is on its way to a client, or that a request begins to arrive.

        Replies and requests of a whole batch pass through the server together, so that some time
        may go by between the end of a batch and the first of its clients' next requests.
        """
        with self._changed:
            self._patience.noticed(time.monotonic())

    def close(self, timeout: float | None = None) -> None:
        """Computes what waits, then ends the thread; no further requests are taken.

        Args:
            timeout: longest time in seconds to wait for that; None waits until it is done.
        """
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)

    # ----------------------------------------------------------------------------------
    # The thread
    # ----------------------------------------------------------------------------------

    def _work(self) -> None:
        while parts := self._next_batch():
            self._compute(parts)

    def _next_batch(self) -> list[_Part]:
        """Waits for a batch and takes it from the queue; returns none at the end."""
        with self._changed:
            while True:
                self._drop_settled()
                if not self._jobs:
                    if self._closed:
                        return []
                    self._changed.wait()
                    continue
                first = self._jobs[0]
                ready = sum(job.left for job in self._jobs if job.key == first.key)
                remaining = self._patience.start(first.arrived) - time.monotonic()
                if ready >= self.max_rows or remaining <= 0 or self._closed:
                    return self._take(first.key)
                self._changed.wait(remaining)

    def _take(self, key: Hashable) -> list[_Part]:
        parts: list[_Part] = []
        room = self.max_rows
        for job in [job for job in self._jobs if job.key == key]:
            count = min(job.left, room)
            if not self._divides and job.left > room:
                if parts:
                    break
                count = job.left
            parts.append(_Part(job, job.taken, count))
            job.taken += count
            room -= count
            self._jobs.remove(job)
            if job.left:
                # Others come before its next part.
                self._jobs.append(job)
            if room <= 0:
                break
        return parts

    def _compute(self, parts: list[_Part]) -> None:
        rows = [row for part in parts for row in part.rows]
        began = time.monotonic()
        try:
            results = self._run(parts[0].job.key, rows)
            if len(results) != len(rows):
                raise RuntimeError(f"{len(rows)} rows gave {len(results)} results")
        except BaseException as error:
            # The thread goes on, whatever happened: others wait.
            if len(parts) == 1:
                start = parts[0].start
                parts[0].job.settle(PartFailed(start, error) if start else error)
                return
            for part in parts:
                if not part.job.future.done():
                    self._compute([part])
            return
        now = time.monotonic()
        if self._observe is not None:
            self._observe(len(rows), now - began)
        with self._changed:
            # Before the first of them can send its next request.
            last = sum(part.job.done + part.count == len(part.job.rows) for part in parts)
            self._patience.ended(now, now - began, last)
        taken = 0
        for part in parts:
            job = part.job
            own = results[taken : taken + part.count]
            taken += part.count
            job.results[part.start : part.start + part.count] = own
            job.done += part.count
            bad = next((i for i, each in enumerate(own) if isinstance(each, Exception)), None)
            if bad is not None and not job.keeps_errors:
                job.settle(RowFailed(part.start + bad, own[bad]))
            elif job.done == len(job.rows):
                job.settle()

    def _drop_settled(self) -> None:
        """Drops requests that were cancelled, and those of which a part has failed."""
        if any(job.future.done() for job in self._jobs):
            self._jobs = deque(job for job in self._jobs if not job.future.done())
