"""The order of a run: a warm-up, then rounds that put every load on every server in turn."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generation.bench import rotated
from generation.engines import Settings, converted
from generation.machine import busy_seconds
from generation.watched import WatchedProcess
from generation.worker import Worker
from generation.workload import Workload

from serving_load.clients import MODEL
from serving_load.servers import Server

Log = Callable[[str], None]

#: The package's server, with batches and without; CTranslate2 behind the same server; and the
#: model itself, called with as many rows as there are clients.
BATCHES, ONE, CTRANSLATE2, INSIDE = "server", "one-at-a-time", "ctranslate2", "in-process"
SERVERS = (BATCHES, ONE, CTRANSLATE2)

#: Name of the load that is half of what a server can do.
HALF = "half"

#: A number of clients, or `HALF`.
Load = int | str


@dataclass
class Bench:
    """Servers, and what they have replied so far.

    Attributes:
        settings: of every engine.
        backend: of the package's servers, and of the model in process.
        workload: sources, and how results end.
        batch: most rows of a batch.
        wait: longest time in milliseconds that a request waits for others.
        log: takes a line for a person to read.
        samples: one for each load on an engine in a round: requests, tokens, seconds, latencies,
            batches, and the processor time that other programs took meanwhile.
        expected: ids of each source, from the model in process.
        equal: replies of each engine with these ids, and all of them.
    """

    settings: Settings
    backend: str
    workload: Workload
    batch: int
    wait: float
    log: Log
    servers: dict[str, Server] = field(default_factory=dict)
    inside: Worker | None = None
    clients: Worker | None = None
    samples: list[dict[str, Any]] = field(default_factory=list)
    expected: list[list[int]] = field(default_factory=list)
    equal: dict[str, list[int]] = field(default_factory=dict)

    # ------------------------------------------------------------------ processes

    def start(self, names: list[str]) -> None:
        """Write the models, and start what is asked for, one after another."""
        folder = Path(self.settings.folder)
        preset = folder / "preset"
        if INSIDE in names:
            self.inside = Worker(f"keras_s2s-{self.backend}", self.settings, self.backend)
            self.log(f"{INSIDE}: ready after {self.inside.ready_seconds:.1f} s")
            self.inside.ask({"sources": self.workload.name, "rows": self.workload.rows})
        if BATCHES in names or ONE in names:
            self._helper("save", {"to": str(preset)}, self.backend)
        if CTRANSLATE2 in names:
            self._helper("convert", {}, "torch")
        steps = self.workload.max_length - 1
        length = ["--max-length", str(self.workload.max_length)]
        if self.workload.forced:
            length += ["--min-length", str(self.workload.max_length)]
        ours = ["keras_s2s", "serve", f"{MODEL}={preset}", "--port", "0", "--sampler", "greedy"]
        for name in (name for name in SERVERS if name in names):
            batch = 1 if name == ONE else self.batch
            if name == CTRANSLATE2:
                options = {"threads": self.settings.threads, "steps": steps}
                options |= {"forced": self.workload.forced, "max_batch_size": batch}
                options |= {"wait": self.wait / 1000}
                words = ["serving_load.ctranslate2_server", str(converted(folder))]
                words.append(json.dumps(options))
            else:
                words = [*ours, *length, "--max-batch-size", str(batch)]
                words += ["--max-wait-ms", str(self.wait)]
            self.servers[name] = Server(f"server-{name}", words, self.settings, self.backend)
            self.log(f"{name}: ready after {self.servers[name].ready_seconds:.1f} s")
        self.clients = Worker("clients", self.settings, None)
        self.clients.ask({"rows": self.workload.rows})

    def _helper(self, kind: str, request: dict[str, Any], backend: str) -> None:
        worker = Worker(kind, self.settings, backend)
        try:
            worker.ask(request)
        finally:
            worker.close()

    def close(self) -> None:
        """End every process."""
        for process in (*self.servers.values(), self.inside, self.clients):
            if process is not None:
                with suppress(OSError):
                    process.close()

    # ------------------------------------------------------------------ measuring

    def run(self, clients: list[int], rounds: int, seconds: float) -> None:
        """Warm up, then measure `rounds` times.

        Args:
            clients: numbers of clients, in this order within a round.
            rounds: how often each engine meets each load.
            seconds: for which requests are sent.
        """
        self._warm_up(clients)
        inside = [INSIDE] if self.inside is not None else []
        for round in range(1, rounds + 1):
            begin = time.perf_counter()
            for count in clients:
                for name in rotated([*inside, *self.servers], round):
                    self._measure(name, count, round, seconds)
            for name in rotated(list(self.servers), round):
                self._measure(name, HALF, round, seconds)
            self.log(f"round {round} of {rounds}: {time.perf_counter() - begin:.0f} s")

    def _warm_up(self, clients: list[int]) -> None:
        """Compile what is compiled, and get the ids that every reply is compared with."""
        most = max(clients)
        if self.inside is not None:
            for count in clients:
                found = self.inside.ask(self._generation(count))
            self.expected = found["ids"]
            self.inside.wait_until_quiet()
        for name, server in self.servers.items():
            begin = time.perf_counter()
            count = 1
            while count <= most and name != ONE:
                self._ask(name, server, {"clients": count, "requests": 2 * count, "first": count})
                count *= 2
            requests = {"requests": 2 if name == ONE else len(self.workload.rows)}
            self._ask(name, server, {"clients": most, "first": 0, **requests})
            server.wait_until_quiet()
            self.log(f"  warm-up {name}: {time.perf_counter() - begin:.1f} s")

    def _generation(self, rows: int) -> dict[str, Any]:
        return {
            "cell": [rows, 1],
            "sources": self.workload.name,
            "max_length": self.workload.max_length,
            "forced": self.workload.forced,
        }

    def _ask(self, name: str, server: Server, request: dict[str, Any]) -> dict[str, Any]:
        """Put a load on a server, and compare the ids of its replies."""
        assert self.clients is not None
        answer = self.clients.ask({"port": server.port, **request})
        if self.expected:
            counts = self.equal.setdefault(name, [0, 0])
            for source, ids in zip(answer["sources"], answer["ids"], strict=True):
                counts[0] += ids == self.expected[source]
                counts[1] += 1
        return answer

    def _measure(self, name: str, load: Load, round: int, seconds: float) -> None:
        """One load on one engine, while the others wait; adds a sample."""
        processes: list[WatchedProcess] = [*self.servers.values()]
        processes += [each for each in (self.inside, self.clients) if each is not None]
        mine = self.servers.get(name) or self.inside
        assert mine is not None
        before, begin = _used(mine, processes), time.perf_counter()
        if name == INSIDE:
            sample = self._generate(load, seconds)
        else:
            sample = self._load(name, load, round, seconds)
        elapsed, after = time.perf_counter() - begin, _used(mine, processes)
        used = {what: after[what] - before[what] for what in after}
        self.samples.append(
            {
                "engine": name,
                "load": load,
                "round": round,
                **sample,
                "elapsed": elapsed,
                "cpu_seconds": used,
                "quiet_after": mine.wait_until_quiet(),
            }
        )
        self.log(f"  {load} {name}: {sample['requests'] / sample['seconds']:.2f} requests/s")

    def _generate(self, load: Load, seconds: float) -> dict[str, Any]:
        """Calls of `generate`, one after another, each with as many rows as there are clients."""
        assert self.inside is not None and isinstance(load, int)
        latencies, rows, tokens = [], 0, 0
        while sum(latencies) < seconds:
            answer = self.inside.ask(self._generation(load))
            latencies.append(answer["seconds"])
            rows += len(answer["ids"])
            tokens += answer["tokens"]
        return {
            "requests": rows,
            "tokens": tokens,
            "seconds": sum(latencies),
            "latencies": latencies,
        }

    def _load(self, name: str, load: Load, round: int, seconds: float) -> dict[str, Any]:
        server = self.servers[name]
        request: dict[str, Any] = {"first": 7 * round, "seconds": seconds}
        if isinstance(load, int):
            request["clients"] = load
        else:
            request |= {"rate": self.peak(name) / 2, "seed": round}
        before = server.batches()
        answer = self._ask(name, server, request)
        after = server.batches()
        return {
            "requests": len(answer["latencies"]),
            "tokens": sum(map(len, answer["ids"])),
            "seconds": answer["seconds"],
            "latencies": answer["latencies"],
            "rate": request.get("rate"),
            "batches": after[0] - before[0],
            "batch_rows": (after[1] - before[1]) / max(after[0] - before[0], 1),
        }

    def peak(self, name: str) -> float:
        """Requests a second at the largest number of clients: the median of the rounds so far."""
        here = [s for s in self.samples if s["engine"] == name and isinstance(s["load"], int)]
        most = max(s["load"] for s in here)
        return statistics.median(s["requests"] / s["seconds"] for s in here if s["load"] == most)

    def disturbance(self) -> dict[str, float]:
        """Processor time that something else than the measured engine took, in cores."""
        elapsed = sum(s["elapsed"] for s in self.samples)
        whats = ("clients_and_idle", "foreign", "stolen")
        return {w: sum(s["cpu_seconds"][w] for s in self.samples) / elapsed for w in whats}


def _used(mine: WatchedProcess, processes: list[WatchedProcess]) -> dict[str, float]:
    """Processor seconds so far: of the engine, the other processes, and everything else."""
    busy, stolen = busy_seconds() or (0.0, 0.0)
    engine = mine.cpu_seconds() or 0.0
    rest = sum(each.cpu_seconds() or 0.0 for each in processes if each is not mine)
    return {
        "engine": engine,
        "clients_and_idle": rest,
        "foreign": max(busy - engine - rest - time.process_time(), 0.0),
        "stolen": stolen,
    }
