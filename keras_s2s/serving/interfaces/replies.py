"""Replies in JSON, and the handler of a route."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from keras_s2s.serving.errors import RequestError
from keras_s2s.serving.models.hosting import Disconnected

log = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]

#: Status of a request whose client has gone; it is counted, and sent to no one.
CLIENT_GONE = 499


def json_reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Returns a reply with a JSON value.

    Example:
        >>> json_reply({"status": "ok"}).body
        b'{"status": "ok"}'
    """
    try:
        body = json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can hold
        body = json.dumps(value).encode("ascii")
    return Response(body, status, headers, "application/json")


def error_reply(error: RequestError) -> Response:
    """Returns the reply of an error, `{"error": message}`."""
    return json_reply({"error": error.message}, error.status, error.headers)


def handled(handler: Handler) -> Handler:
    """Makes replies of the errors that a handler raises."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except RequestError as error:
            return error_reply(error)
        except (Disconnected, ClientDisconnect):
            return Response(status_code=CLIENT_GONE)
        except Exception as error:
            log.error("unexpected %s", type(error).__name__, exc_info=error)
            return json_reply(
                {"error": f"unexpected {type(error).__name__}; the server's log has more"}, 500
            )

    return handle
