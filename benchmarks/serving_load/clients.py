"""The clients of a server, in a process of their own: they send requests and time the replies."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from generation.engines import Settings

#: Name of the model in addresses.
MODEL = "model"

#: Longest time in seconds that a client waits for a reply.
PATIENCE = 600.0


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
        import httpx

        sources = itertools.count(request["first"])
        url = f"http://127.0.0.1:{request['port']}/v1/models/{MODEL}:predict"
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(limits=limits, timeout=PATIENCE, trust_env=False) as client:
            run = Run(client, url, self.bodies, sources)
            begin = time.perf_counter()
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
            return {
                "latencies": run.latencies,
                "seconds": time.perf_counter() - begin,
                "sources": run.sources,
                "ids": run.ids,
            }


class Run:
    """What was asked and answered so far."""

    def __init__(self, client: Any, url: str, bodies: list[bytes], order: Iterator[int]) -> None:
        self.client, self.url, self.bodies, self.order = client, url, bodies, order
        self.latencies: list[float] = []
        self.sources: list[int] = []
        self.ids: list[list[int]] = []

    async def ask(self, begin: float) -> None:
        """Send the next source; the latency counts from `begin`.

        Raises:
            RuntimeError: another reply than the results.
        """
        source = next(self.order) % len(self.bodies)
        reply = await self.client.post(self.url, content=self.bodies[source])
        latency = time.perf_counter() - begin
        if reply.status_code != 200:
            raise RuntimeError(f"the server replied {reply.status_code}: {reply.text[:300]}")
        (row,) = reply.json()["predictions"]
        self.latencies.append(latency)
        self.sources.append(source)
        self.ids.append(row["token_ids"])

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
