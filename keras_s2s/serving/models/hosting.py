"""A model with its queue, and the models of a server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from typing import cast

from starlette.requests import Request

from keras_s2s.serving.batching import Batcher, PartFailed, QueueClosed, QueueFull, RowFailed
from keras_s2s.serving.errors import RequestError, unavailable
from keras_s2s.serving.limits import Limits
from keras_s2s.serving.metrics import Metrics
from keras_s2s.serving.models.names import check_names
from keras_s2s.serving.models.served_model import Prepared, Row, ServedModel
from keras_s2s.text.row_error import RowError

log = logging.getLogger(__name__)


class Disconnected(Exception):
    """Raised where the client has closed its connection, so that no reply is wanted."""


class Host:
    """A model and its queue.

    Args:
        model: that computes the rows.
        limits: of the server.
        metrics: that count batches and rows.
    """

    def __init__(self, model: ServedModel, limits: Limits, metrics: Metrics) -> None:
        self.model = model
        self.batcher = Batcher(
            model.run,
            max_rows=limits.max_batch_size,
            max_wait=limits.max_wait,
            queue_rows=limits.queue_size,
            divides=model.divides,
            name=f"model {model.name}",
            observe=metrics.observe_batches(model.name),
        )
        metrics.watch_queue(model.name, lambda: self.batcher.queued)

    async def compute(self, request: Request, prepared: Prepared) -> list[Row]:
        """Queues the rows of a request, and returns their results, all of them.

        Args and errors are those of `compute_each`, and 400 for a row that the model cannot use.
        """
        return cast("list[Row]", await self._computed(request, prepared, keep_errors=False))

    async def compute_each(self, request: Request, prepared: Prepared) -> list[Row | Exception]:
        """Queues the rows of a request, and returns their results, or what is wrong with a row.

        Args:
            request: whose body was read. If its client closes the connection, rows that still
                wait are dropped.
            prepared: by the model.

        Raises:
            RequestError: 503 for a full queue, 400 for rows that the model cannot use, 500 for
                an error of the model.
            Disconnected: the client has gone.
        """
        return await self._computed(request, prepared, keep_errors=True)

    async def _computed(
        self, request: Request, prepared: Prepared, *, keep_errors: bool
    ) -> list[Row | Exception]:
        try:
            submitted = self.batcher.submit(prepared.rows, prepared.key, keep_errors=keep_errors)
        except QueueFull as error:
            raise unavailable(f"too many requests: {error}") from None
        except QueueClosed:
            raise unavailable("the server stops") from None
        future = asyncio.wrap_future(submitted)
        gone = asyncio.ensure_future(_disconnection(request))
        try:
            await asyncio.wait((future, gone), return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                raise Disconnected
            return future.result()
        except (Disconnected, RequestError):
            raise
        except Exception as error:
            raise explained(error, self.model.name) from None
        finally:
            gone.cancel()
            submitted.cancel()
            self.batcher.noticed()


async def _disconnection(request: Request) -> None:
    """Waits until the client of a request has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


#: Of a row that is too long for a model that the server computes itself.
REMEDY = "shorten it, or start the server with --overlong truncate"


def row_message(error: Exception) -> str:
    """Returns what is wrong with a row, where it stands beside the results of others."""
    if not isinstance(error, RowError):
        return str(error)
    message = f"the {error.side} {next(iter(error.reasons.values()))}"
    return f"{message}; {REMEDY}" if error.overlong else message


def explained(error: Exception, name: str) -> RequestError:
    """Returns the reply for an error of a model.

    Args:
        error: a `ValueError` or `TypeError` says what is wrong with the request; anything else is
            a defect, which is logged.
        name: of the model.
    """
    first = 0
    if isinstance(error, PartFailed) and isinstance(error.error, Exception):
        first, error = error.start, error.error
    if isinstance(error, RowFailed) and isinstance(error.error, RowError):
        first, error = error.row, error.error
    if isinstance(error, RowFailed):
        return RequestError(400, f"row {error.row}: {error.error}")
    if isinstance(error, RequestError):
        return error
    if isinstance(error, RowError):
        number, reason = next(iter(error.reasons.items()))
        message = f"{error.side} {first + number} {reason}"
        return RequestError(400, f"{message}; {REMEDY}" if error.overlong else message)
    if isinstance(error, ValueError | TypeError):
        return RequestError(400, str(error))
    log.error("model %s: unexpected %s", name, type(error).__name__, exc_info=error)
    return RequestError(
        500, f"model {name}: unexpected {type(error).__name__}; the server's log has more"
    )


class Serving:
    """The models of a server, its limits and its counters.

    Args:
        models: with different names.
        limits: of the server.

    Raises:
        ValueError: no models, or names that are not valid or not different.

    Example:
        >>> Serving([], Limits())
        Traceback (most recent call last):
        ValueError: there are no models to serve
    """

    def __init__(self, models: Sequence[ServedModel], limits: Limits | None = None) -> None:
        check_names([model.name for model in models])
        self.limits = limits or Limits()
        self.metrics = Metrics()
        self.hosts: Mapping[str, Host] = {
            model.name: Host(model, self.limits, self.metrics) for model in models
        }
        self.active_streams = 0
        self.streams: set[Future[None]] = set()

    def close(self) -> None:
        """Computes what waits, and ends the threads."""
        for host in self.hosts.values():
            host.batcher.close()
        wait(list(self.streams))

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def models(self) -> Iterator[ServedModel]:
        """Yields the models, in the order in which they were named."""
        return (host.model for host in self.hosts.values())
