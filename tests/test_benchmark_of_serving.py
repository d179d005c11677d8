"""The benchmark of serving: its arithmetic by hand, and a small run from end to end."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import keras
import pytest
from small_models import COMPILES

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import serve  # noqa: E402
from serving_load import report  # noqa: E402
from serving_load.bench import BATCHES, CTRANSLATE2, HALF, INSIDE, ONE, SERVERS  # noqa: E402
from serving_load.clients import Connections, Run, arrivals  # noqa: E402


def sample(engine, load, round, seconds, latencies, **more):
    count = len(latencies)
    return {
        "engine": engine,
        "load": load,
        "round": round,
        "requests": count,
        "tokens": 10 * count,
        "seconds": seconds,
        "latencies": latencies,
        **more,
    }


def test_options():
    assert serve.counts("1, 8,32,8") == [1, 8, 32]
    with pytest.raises(argparse.ArgumentTypeError, match="'0'"):
        serve.counts("0")
    assert serve.engines("server,in-process") == [BATCHES, INSIDE]
    with pytest.raises(argparse.ArgumentTypeError, match="one-at-a-time"):
        serve.engines("one")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--steps", "5000"], "5001 positions"),
        (["--engines", "in-process"], "no server"),
        (["--free", "--source", "3"], "4 ids"),
        (["--threads", "100000"], "cores"),
    ],
)
def test_wrong_use_is_one_line(options, message, capsys):
    assert serve.main(["--size", "tiny", *options]) == 1
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_percentiles_are_those_of_all_rounds():
    latencies = [i / 100 for i in range(1, 102)]  # 0.01 to 1.01
    samples = [
        sample(BATCHES, 8, 1, 10.0, latencies[:50], batches=10, batch_rows=5.0),
        sample(BATCHES, 8, 2, 17.0, latencies[50:], batches=17, batch_rows=3.0),
    ]
    (found,) = report.summaries(samples)
    assert [found[f"p{k}"] for k in (50, 95, 99)] == pytest.approx([0.51, 0.96, 1.0])
    assert (found["lowest"], found["requests_per_second"], found["highest"]) == (3, 4, 5)
    assert found["tokens_per_second"] == 40
    assert found["batch_rows"] == pytest.approx((10 * 5 + 17 * 3) / 27)


def test_goals_are_taken_within_a_round():
    """The machine gets ten times slower in round 2; the ratios stay 4 and 6."""
    samples = [sample(INSIDE, 8, 1, 1.0, [1.0] * 100)]
    for round, slow in ((1, 1.0), (2, 10.0)):
        samples.append(sample(ONE, 32, round, 4.0 * (1 + (round - 1) / 2) * slow, [1.0] * 100))
        samples.append(sample(BATCHES, 32, round, slow, [1.0] * 100))
    samples.append(sample(BATCHES, HALF, 1, 1.0, [0.2] * 98 + [0.5] * 3, batches=0, batch_rows=0))
    found = report.goals(samples, report.summaries(samples))
    assert found["throughput"] == {ONE: [4.0, 5.0, 6.0]}
    assert found["p99_over_p50_at_half_load"] == {BATCHES: pytest.approx(2.5)}


def test_arrivals_are_a_poisson_process():
    times = arrivals(rate=50.0, seconds=100.0, seed=1)
    assert times == sorted(times) and times[-1] < 100 and times == arrivals(50.0, 100.0, 1)
    assert len(times) == pytest.approx(5_000, rel=0.05)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    # Of an exponential distribution the deviation is the mean, and 1 of e gaps is longer than it.
    assert sum(gap > 1 / 50 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.03)
    assert arrivals(0.001, 1.0, 1) == [0.0]


class SlowServer:
    """Replies after `seconds`, to one request at a time; stands in for connections to a server."""

    def __init__(self, seconds):
        self.seconds, self.lock = seconds, asyncio.Lock()
        self.active = self.most = 0

    async def post(self, body):
        self.active += 1
        self.most = max(self.most, self.active)
        async with self.lock:
            await asyncio.sleep(self.seconds)
        self.active -= 1
        return body


def test_clients_wait_for_their_reply():
    async def main():
        server = SlowServer(0.01)
        run = Run(server.post, [b"a", b"b"], itertools.count(1))
        await run.closed_loop(time.perf_counter(), 3, float("inf"), 9)
        return server, run

    server, run = asyncio.run(main())
    assert server.most == 3 and len(run.latencies) == 9
    assert run.sources == [1, 0, 1, 0, 1, 0, 1, 0, 1]
    assert run.replies == [b"ab"[source : source + 1] for source in run.sources]
    assert min(run.latencies[2:]) > 0.025, "a client did not wait for its turn"


def test_latency_at_half_load_counts_from_the_time_of_the_request():
    """Four requests at once, 20 ms each: the last one waits for three others."""

    async def main():
        run = Run(SlowServer(0.02).post, [b"a"], itertools.count())
        await run.open_loop(time.perf_counter() - 1.0, [0.0] * 4)
        return run.latencies

    latencies = asyncio.run(main())
    assert len(latencies) == 4
    assert latencies[0] >= 1.02 and latencies[3] - latencies[0] >= 0.055


def test_connections_are_kept_and_an_error_of_the_server_ends_the_run():
    """A server that replies in pieces, and to the fifth request with an error."""
    opened, seen = [], []

    async def serve_one(reader, writer):
        opened.append(1)
        while head := await reader.readuntil(b"\r\n\r\n"):
            size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            body = await reader.readexactly(size)
            seen.append(body)
            status = b"503 Service Unavailable" if len(seen) == 5 else b"200 OK"
            writer.write(b"HTTP/1.1 " + status + b"\r\nX: y\r\nContent-Length: %d\r\n" % size)
            await asyncio.sleep(0.01)
            writer.write(b"\r\n" + body[:1])
            await asyncio.sleep(0.01)
            writer.write(body[1:])

    async def main():
        server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connections = Connections(port, "/x")
        replies = [await connections.post(body) for body in (b"ab", b"c" * 100_000)]
        both = await asyncio.gather(connections.post(b"de"), connections.post(b"fg"))
        with pytest.raises(RuntimeError, match="503: hi"):
            await connections.post(b"hi")
        connections.close()
        server.close()
        return [*replies, *both]

    assert asyncio.run(main()) == [b"ab", b"c" * 100_000, b"de", b"fg"]
    assert len(opened) == 2


def test_a_connection_that_the_server_has_closed_is_opened_again():
    async def serve_one(reader, writer):
        await reader.readuntil(b"\r\n\r\nab")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nAB")
        writer.close()

    async def main():
        server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
        connections = Connections(server.sockets[0].getsockname()[1], "/x")
        replies = []
        for pause in (0.0, 0.1, 0.0):
            await asyncio.sleep(pause)
            replies.append(await connections.post(b"ab"))
        connections.close()
        server.close()
        return replies

    assert asyncio.run(main()) == [b"AB"] * 3


@pytest.mark.slow
@pytest.mark.skipif(COMPILES, reason="once is enough: what is compiled is tested elsewhere")
@pytest.mark.parametrize("free", [False, True])
def test_a_small_run(tmp_path, free):
    """Every reply of every server has the ids that the model generates in process."""
    for needed in ("starlette", "uvicorn", "transformers", "ctranslate2"):
        pytest.importorskip(needed)
    output = tmp_path / "out.json"
    command = [sys.executable, str(BENCHMARKS / "serve.py"), "--size", "tiny", "--threads", "1"]
    command += ["--rounds", "1", "--seconds", "1", "--clients", "1,4", "--steps", "20"]
    command += ["--backend", keras.backend.backend(), "--output", str(output)]
    done = subprocess.run(
        [*command, *(["--free"] if free else [])], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"written: {output}" in done.stdout
    result = json.loads(output.read_text())
    assert len(result["samples"]) == 2 * 4 + 3  # clients x engines, and half loads
    assert set(result["equal"]) == set(SERVERS)
    for engine, (equal, count) in result["equal"].items():
        assert equal == count >= 12, engine
    lengths = {s["tokens"] / s["requests"] for s in result["samples"]}
    assert lengths == {20.0} if not free else max(lengths) < 20
    batched = {(r["engine"], r["load"]): r["batch_rows"] for r in result["summaries"]}
    assert batched[ONE, 4] == 1 and batched[BATCHES, 1] == 1
    assert batched[BATCHES, 4] > 1.5 and batched[CTRANSLATE2, 4] > 1.5
    assert set(result["goals"]["throughput"]) == {ONE, CTRANSLATE2, INSIDE}
    assert set(result["goals"]["p99_over_p50_at_half_load"]) == set(SERVERS)
    assert "p99 is" in done.stdout and "times the throughput of" in done.stdout
