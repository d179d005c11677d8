"""Loads models, listens, and stops gracefully."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence

import uvicorn

from keras_s2s.serving.app import make_app
from keras_s2s.serving.gate import Gate
from keras_s2s.serving.limits import Limits
from keras_s2s.serving.models.hosting import Serving
from keras_s2s.serving.models.served_model import ServedModel

log = logging.getLogger(__name__)

#: Seconds between the end of listening and the end of the server, in which requests on connections
#: that were accepted already are read and get their 503.
LAST_REPLIES = 0.2


class GracefulServer(uvicorn.Server):
    """A uvicorn server that replies to new requests while it finishes those that it accepted.

    uvicorn itself closes its sockets at once. Here SIGTERM or SIGINT first makes the gate refuse
    new requests with 503, and the sockets are closed when all others have their replies; a second
    signal closes them at once.

    Args:
        config: of uvicorn, with the gate as its application.
        gate: around the application.
        seconds: longest time for that.
    """

    def __init__(self, config: uvicorn.Config, gate: Gate, seconds: float) -> None:
        super().__init__(config)
        self.gate, self.seconds = gate, seconds
        self._draining: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handles the signals while the server runs; nothing is raised again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()

        def stop(*_: object) -> None:
            loop.call_soon_threadsafe(self.stop)

        before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def stop(self) -> None:
        """Begins to stop; called once more, stops at once. To be called in the event loop."""
        if self.gate.stopping:
            log.warning("stopping at once; %d requests get no reply", self.gate.active)
            self.should_exit = self.force_exit = True
            return
        self.gate.stopping = True
        log.info("stopping: %d requests in progress", self.gate.active)
        self._draining = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        began = time.monotonic()
        while self.gate.active:
            if time.monotonic() - began > self.seconds:
                log.warning(
                    "%d requests are not done after %g seconds", self.gate.active, self.seconds
                )
                self.force_exit = True
                break
            await asyncio.sleep(0.02)
        for listening in self.servers:
            listening.close()
        await asyncio.sleep(LAST_REPLIES)
        self.should_exit = True


def open_socket(host: str, port: int) -> socket.socket:
    """Returns a socket that is bound to an address, and does not listen yet.

    Args:
        host: name or address of an interface.
        port: 0 takes a free one.

    Raises:
        OSError: the port is in use, or there is no such interface; the message says which.

    Example:
        >>> opened = open_socket("127.0.0.1", 0)
        >>> opened.close()
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        opened = socket.socket(family, kind, protocol)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
        except OSError:
            opened.close()
            raise
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(f"--host {host} --port {port}: {reason}") from None
    return opened


def serve(models: Sequence[ServedModel], limits: Limits, listener: socket.socket) -> None:
    """Serves models until a SIGTERM or SIGINT, then finishes what was accepted and returns.

    Args:
        models: that are loaded.
        limits: of the server.
        listener: from `open_socket`.
    """
    with Serving(models, limits) as serving:
        gate = make_app(serving)
        config = uvicorn.Config(
            gate,
            access_log=False,
            log_config=None,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        server = GracefulServer(config, gate, limits.stop_seconds)
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        for model in models:
            log.info("%s at http://%s:%d/v1/models/%s", model.name, shown, port, model.name)
        log.info("a page for people at http://%s:%d/", shown, port)
        server.run(sockets=[listener])
    log.info("stopped")
