"""The clients of a server, in a process of their own: they send requests and time the replies."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import numpy as np
from generation.engines import Settings

#: Name of the model in addresses.
MODEL = "model"


class Clients:
    """Answers a worker's requests: keeps sources, and asks a server for their results.

    Every request has one source. Latencies are in seconds.
    """

    def __init__(self, settings: Settings) -> None:
        self.bodies: list[bytes] = []

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a request.

        Args:
            request: `{"rows": ids}` to keep sources; `{"port": n, "first": i, "clients": c}`, and
                `"seconds"` or `"requests"`, for clients that send the next request as soon as they
                have a reply; `{"port": n, "first": i, "rate": r, "seconds": s, "seed": k}` for
                requests that come at random times, however long replies take. `first` is the
                number of the first source.

        Returns:
            `{}`, or latencies, seconds from the first request to the last reply, and for each
            latency the number of its source and the ids of the reply.
        """
        if "rows" in request:
            self.bodies = [
                json.dumps({"instances": [{"encoder_token_ids": row}]}).encode()
                for row in request["rows"]
            ]
            return {}
        return asyncio.run(self._load(request))

    async def _load(self, request: dict[str, Any]) -> dict[str, Any]:
        sources = itertools.count(request["first"])
        connections = Connections(request["port"], f"/v1/models/{MODEL}:predict")
        run = Run(connections.post, self.bodies, sources)
        begin = time.perf_counter()
        try:
            if "rate" in request:
                times = arrivals(request["rate"], request["seconds"], request["seed"])
                await run.open_loop(begin, times)
            else:
                await run.closed_loop(
                    begin,
                    request["clients"],
                    request.get("seconds", float("inf")),
                    request.get("requests", float("inf")),
                )
            seconds = time.perf_counter() - begin
        finally:
            connections.close()
        return {
            "latencies": run.latencies,
            "seconds": seconds,
            "sources": run.sources,
            "ids": [json.loads(reply)["predictions"][0]["token_ids"] for reply in run.replies],
        }


class Connections:
    """Connections to a server, kept and used again.

    Without a library for HTTP, since clients share the machine with the server: what they take, all
    of them just after a batch, is missing there.

    Args:
        port: of the server.
        path: that requests are sent to.
    """

    def __init__(self, port: int, path: str) -> None:
        self.port, self.path = port, path
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, body: bytes) -> bytes:
        """Send a request; returns the body of the reply.

        Raises:
            RuntimeError: another status than 200.
        """
        while self.idle:
            reader, writer = self.idle.pop()
            try:
                return await self._ask(reader, writer, body)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                # The server closes connections that nothing was sent on for some seconds. Half
                # of a reply is another matter.
                writer.close()
                if getattr(error, "partial", b""):
                    raise
        return await self._ask(*await asyncio.open_connection("127.0.0.1", self.port), body)

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
    ) -> bytes:
        head = f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        replied = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        found = re.search(r"\r\ncontent-length: (\d+)\r\n", replied)
        if found is None:
            raise RuntimeError(f"a reply without a length: {replied}")
        content = await reader.readexactly(int(found[1]))
        status = replied.split(" ", 2)[1]
        if status != "200":
            raise RuntimeError(f"the server replied {status}: {content[:300].decode()}")
        self.idle.append((reader, writer))
        return content

    def close(self) -> None:
        """Close those that are not in use."""
        for _, writer in self.idle:
            writer.close()


class Run:
    """What was asked and answered so far.

    Args:
        post: sends a body, and returns that of the reply.
        bodies: of the requests.
        order: numbers of the bodies to send.
    """

    def __init__(
        self,
        post: Callable[[bytes], Awaitable[bytes]],
        bodies: list[bytes],
        order: Iterator[int],
    ) -> None:
        self.post, self.bodies, self.order = post, bodies, order
        self.latencies: list[float] = []
        self.sources: list[int] = []
        self.replies: list[bytes] = []

    async def ask(self, begin: float) -> None:
        """Send the next source; the latency counts from `begin`."""
        source = next(self.order) % len(self.bodies)
        reply = await self.post(self.bodies[source])
        self.latencies.append(time.perf_counter() - begin)
        self.sources.append(source)
        self.replies.append(reply)

    async def closed_loop(
        self, begin: float, clients: int, seconds: float, requests: float
    ) -> None:
        """`clients` that each wait for a reply before they send the next request."""
        sent = 0

        async def one() -> None:
            nonlocal sent
            while sent < requests and time.perf_counter() - begin < seconds:
                sent += 1
                await self.ask(time.perf_counter())

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(one())

    async def open_loop(self, begin: float, times: list[float]) -> None:
        """A request at each of `times`, in seconds after `begin`.

        Latencies count from that time: a request that is sent late has waited, too.
        """
        async with asyncio.TaskGroup() as group:
            for at in times:
                await asyncio.sleep(max(0.0, begin + at - time.perf_counter()))
                group.create_task(self.ask(begin + at))


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Times of a Poisson process with `rate` events a second, up to `seconds`; one at least."""
    rng = np.random.default_rng(seed)
    count = int(2 * rate * seconds) + 20
    times = np.cumsum(rng.exponential(1 / rate, count))
    return [0.0, *times[times < seconds].tolist()]
