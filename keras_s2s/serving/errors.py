"""The error of a request, with the HTTP status of its reply."""

from __future__ import annotations

from collections.abc import Mapping


class RequestError(Exception):
    """Raised for a request that gets an error reply.

    Args:
        status: HTTP status of the reply.
        message: what is wrong and what was expected, for the client.
        headers: of the reply, e.g. `Retry-After`.

    Example:
        >>> RequestError(413, "q has 300 texts; at most 256 are taken").status
        413
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


def unavailable(message: str, seconds: int = 1) -> RequestError:
    """Returns a 503 error that asks the client to come again.

    Args:
        message: why the request is refused now.
        seconds: value of `Retry-After`.

    Example:
        >>> unavailable("the queue is full").headers
        {'Retry-After': '1'}
    """
    return RequestError(503, message, {"Retry-After": str(seconds)})
