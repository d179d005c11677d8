"""Requests in progress: counts them, and refuses new ones while the server stops."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keras_s2s.serving.errors import unavailable
from keras_s2s.serving.interfaces.replies import error_reply
from keras_s2s.serving.metrics import Metrics

#: Addresses that are served until the end: a supervisor asks them.
ALWAYS = ("/health", "/ready", "/metrics")


class Gate:
    """An ASGI application around another one.

    Args:
        app: that handles the requests.
        route: returns the route of an address, for the metrics.
        metrics: that count requests.

    Attributes:
        active: accepted requests in progress, up to the end of their reply.
        stopping: new requests get 503.
    """

    def __init__(self, app: ASGIApp, route: Callable[[str], str], metrics: Metrics) -> None:
        self.app, self.route, self.metrics = app, route, metrics
        self.active = 0
        self.stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        began = time.monotonic()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self.stopping:
                    # So that no further request comes on a connection that is about to be closed.
                    message = {
                        **message,
                        "headers": [*message.get("headers", []), (b"connection", b"close")],
                    }
            await send(message)

        # Those that are refused do not count: clients that try again would keep the server running.
        accepted = not self.stopping
        self.active += accepted
        try:
            if accepted or path in ALWAYS:
                await self.app(scope, receive, watched)
            else:
                await error_reply(unavailable("the server stops"))(scope, receive, watched)
        finally:
            self.active -= accepted
            route = self.route(path)
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.monotonic() - began)
