"""Text as it is generated, as server-sent events (`text/event-stream`)."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.responses import Response, StreamingResponse

from keras_s2s.serving.errors import unavailable
from keras_s2s.serving.models.hosting import Serving, explained
from keras_s2s.serving.models.served_model import Row, ServedModel
from keras_s2s.serving.own_thread import start_thread

#: The type of an event, and its data.
Event = tuple[str, Any]


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
    return StreamingResponse(
        _written(events, gone), 200, {"Cache-Control": "no-cache"}, "text/event-stream"
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


async def _written(events: asyncio.Queue[Event], gone: threading.Event) -> AsyncIterator[str]:
    """Yields the events as they are sent, up to the last one."""
    try:
        kind = ""
        while not kind:
            kind, value = await events.get()
            head = f"event: {kind}\n" if kind else ""
            yield f"{head}data: {json.dumps(value, ensure_ascii=False)}\n\n"
    finally:
        gone.set()
