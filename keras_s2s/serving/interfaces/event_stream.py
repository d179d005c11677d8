"""Text as it is generated, and progress, as server-sent events (`text/event-stream`)."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.responses import Response, StreamingResponse

from keras_s2s.serving.errors import RequestError, unavailable
from keras_s2s.serving.models.hosting import Disconnected, Serving, explained
from keras_s2s.serving.models.served_model import Row, ServedModel
from keras_s2s.serving.own_thread import start_thread

#: The type of an event, and its data.
Event = tuple[str, Any]

#: Tells how much is done, and of how much.
Tell = Callable[[int, int], None]


async def event_stream(
    serving: Serving, model: ServedModel, rows: Sequence[Row], parameters: Mapping[str, Any]
) -> Response:
    """Returns a reply that sends the text of each row while it is generated.

    An event for each new piece, `data: {"index": row, "text": piece}`; at the end one of the type
    `end`, or of the type `error` with `data: {"error": message}`. The pieces of a row together
    are its text. Every stream has a thread of its own.

    Args:
        serving: the server.
        model: that generates.
        rows: of the request.
        parameters: generation options of the request.

    Raises:
        RequestError: 503 where too many streams are in progress; 400 for a row or an option that
            the model cannot use, or that cannot be streamed.
    """
    limit = serving.limits.max_streams
    if serving.active_streams >= limit:
        raise unavailable(f"{limit} streams are in progress, and no more are taken at a time")
    serving.active_streams += 1
    try:
        # Errors in the request are found here, before the reply begins.
        pieces = await asyncio.wrap_future(
            start_thread(partial(model.stream, rows, parameters), "stream")
        )
    except BaseException as error:
        serving.active_streams -= 1
        if isinstance(error, Exception):
            raise explained(error, model.name) from None
        raise
    events, gone = _generate(serving, model.name, pieces)
    return _reply(events, gone.set)


async def progress_stream(work: Callable[[Tell], Awaitable[Any]], name: str) -> Response:
    """Returns a reply that tells how far some work is.

    Events `data: {"done": count, "of": count}`; at the end one of the type `end` with the result
    as its data, or of the type `error` with `data: {"error": message}`. What fails before the
    first event is a reply with a status of its own. Where the client goes, the work is cancelled.

    Args:
        work: returns the result, as JSON has it; it is called with a function that tells how much
            is done of all.
        name: of the model.

    Raises:
        RequestError: what the work raised before its first event.
    """
    events: asyncio.Queue[Event] = asyncio.Queue()
    failure: list[Exception] = []

    def tell(done: int, of: int) -> None:
        events.put_nowait(("", {"done": done, "of": of}))

    async def run() -> None:
        try:
            events.put_nowait(("end", await work(tell)))
        except Exception as error:
            failure.append(error)
            message = "the client has gone"
            if not isinstance(error, Disconnected):
                message = _explained(error, name).message
            events.put_nowait(("error", {"error": message}))

    task = asyncio.ensure_future(run())
    try:
        first = await events.get()
    except BaseException:
        task.cancel()
        raise
    if first[0] == "error":
        error = failure[0]
        raise error if isinstance(error, Disconnected) else _explained(error, name) from None
    return _reply(events, task.cancel, first)


def _explained(error: Exception, name: str) -> RequestError:
    return error if isinstance(error, RequestError) else explained(error, name)


def _reply(
    events: asyncio.Queue[Event], stop: Callable[[], Any], first: Event | None = None
) -> Response:
    """Returns a reply with events up to the last one.

    Args:
        events: of which the last has a type.
        stop: is called at the end, and where the client has gone.
        first: an event before those.
    """
    return StreamingResponse(
        _written(events, stop, first), 200, {"Cache-Control": "no-cache"}, "text/event-stream"
    )


def _generate(
    serving: Serving, name: str, pieces: Iterator[list[str]]
) -> tuple[asyncio.Queue[Event], threading.Event]:
    """Starts a thread that generates; returns its events, and what ends it at its next piece."""
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Event] = asyncio.Queue()
    gone = threading.Event()

    def tell(kind: str, value: Any) -> None:
        loop.call_soon_threadsafe(events.put_nowait, (kind, value))

    def generate() -> None:
        try:
            for texts in pieces:
                if gone.is_set():
                    return
                for i, text in enumerate(texts):
                    if text:
                        tell("", {"index": i, "text": text})
            tell("end", {})
        except Exception as error:
            tell("error", {"error": explained(error, name).message})

    def count(done: Any) -> None:
        serving.streams.discard(done)
        serving.active_streams -= 1

    stream = start_thread(generate, "stream")
    serving.streams.add(stream)
    stream.add_done_callback(count)
    return events, gone


async def _written(
    events: asyncio.Queue[Event], stop: Callable[[], Any], first: Event | None
) -> AsyncIterator[str]:
    """Yields the events as they are sent, up to the last one."""
    try:
        kind = ""
        while not kind:
            kind, value = first or await events.get()
            first = None
            head = f"event: {kind}\n" if kind else ""
            yield f"{head}data: {json.dumps(value, ensure_ascii=False)}\n\n"
    finally:
        stop()
