"""Health, metrics, limits on bodies, streams, full queues, clients that go, and the stop."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from serving.clients import JSON, Shouting, got, posted, using, with_client
from small_models import COMPILES

from keras_s2s.serving.app import make_app
from keras_s2s.serving.limits import Limits
from keras_s2s.serving.models.hosting import Serving
from keras_s2s.serving.models.loading import read_argument, read_languages
from keras_s2s.serving.models.served_model import Row

# No backend has a part in this.
pytestmark = [pytest.mark.slow] if COMPILES else []

PREDICT = "/v1/models/loud:predict"
STREAM = "/v1/models/loud:stream"


def test_health_and_readiness() -> None:
    assert got([Shouting()], "/health").json() == {"status": "ok"}
    assert got([Shouting("a"), Shouting("b")], "/ready").json() == {
        "status": "ok",
        "models": ["a", "b"],
    }


def test_while_it_stops_new_requests_get_503() -> None:
    async def run() -> None:
        with Serving([Shouting()]) as serving:
            app = make_app(serving)
            app.stopping = True

            async def use(client: httpx.AsyncClient) -> None:
                reply = await client.post(PREDICT, json={"instances": ["a"]})
                assert reply.status_code == 503
                assert reply.headers["retry-after"] == "1"
                assert reply.headers["connection"] == "close"
                assert reply.json() == {"error": "the server stops"}
                assert (await client.get("/ready")).status_code == 503
                assert (await client.get("/health")).status_code == 200
                assert (await client.get("/metrics")).status_code == 200

            await with_client(app, use)

    asyncio.run(run())


def test_metrics() -> None:
    async def use(client: httpx.AsyncClient) -> str:
        await client.post(PREDICT, json={"instances": ["a", "b", "c"]})
        await client.post(PREDICT, json={"instances": 1})
        await client.post("/translate", json={"q": "a", "source": "en", "target": "de"})
        for i in range(5):
            await client.get(f"/nowhere/{i}")
        return (await client.get("/metrics")).text

    lines = using([Shouting()], use).splitlines()
    for line in (
        'keras_s2s_requests_total{route="/v1/models:predict",status="200"} 1.0',
        'keras_s2s_requests_total{route="/v1/models:predict",status="400"} 1.0',
        'keras_s2s_requests_total{route="/translate",status="200"} 1.0',
        'keras_s2s_requests_total{route="other",status="404"} 5.0',
        'keras_s2s_request_seconds_count{route="/v1/models:predict"} 2.0',
        'keras_s2s_rows_total{model="loud"} 4.0',
        'keras_s2s_batch_rows_bucket{le="2.0",model="loud"} 1.0',
        'keras_s2s_batch_rows_bucket{le="4.0",model="loud"} 2.0',
        'keras_s2s_batch_seconds_count{model="loud"} 2.0',
        'keras_s2s_queue_rows{model="loud"} 0.0',
        "keras_s2s_active_requests 1.0",
        "keras_s2s_active_streams 0.0",
    ):
        assert line in lines


# --------------------------------------------------------------------------------------
# Bodies
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("size", [1000, 1001, 50_000])
def test_the_size_of_a_body(declared: bool, size: int) -> None:
    body = json.dumps({"instances": ["a"]}).encode().ljust(size)
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for start in range(0, size, 100):
            sent += 1
            yield body[start : start + 100]

    async def use(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(PREDICT, content=body if declared else chunks(), headers=JSON)

    reply = using([Shouting()], use, Limits(max_wait=0.0, max_body_bytes=1000))
    assert reply.status_code == (200 if size == 1000 else 413)
    if size > 1000:
        assert reply.json() == {"error": "the body is too large; at most 1000 bytes are taken"}


def test_a_body_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras_s2s.serving.interfaces.body.DROPPED_BYTES", 5000)
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 1000

    async def use(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(PREDICT, content=chunks())

    reply = using([Shouting()], use, Limits(max_body_bytes=1000))
    assert reply.status_code == 413
    assert reply.headers["connection"] == "close"
    assert sent < 10


def test_a_body_that_is_announced_is_refused_before_it_is_sent() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        raise AssertionError("it was asked for")
        yield b""

    async def use(client: httpx.AsyncClient) -> httpx.Response:
        headers = {"Content-Length": "5000", "Expect": "100-continue"}
        return await client.post(PREDICT, content=chunks(), headers=headers)

    assert using([Shouting()], use, Limits(max_body_bytes=1000)).status_code == 413


def test_a_body_that_does_not_arrive() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(10)

    async def use(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(PREDICT, content=chunks())

    reply = using([Shouting()], use, Limits(body_seconds=1))
    assert (reply.status_code, reply.headers["connection"]) == (408, "close")


def test_a_compressed_body_is_refused() -> None:
    async def use(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(PREDICT, content=b"x", headers={"Content-Encoding": "gzip"})

    assert using([Shouting()], use).status_code == 415


# --------------------------------------------------------------------------------------
# Many clients
# --------------------------------------------------------------------------------------


class Waiting(Shouting):
    """Computes nothing before it may."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.began = threading.Event()

    def run(self, key: Any, rows: Any) -> list[Row]:
        self.began.set()
        assert self.free.wait(10)
        return super().run(key, rows)


def test_requests_of_many_clients_share_batches_and_errors_do_not_spread() -> None:
    model = Shouting()
    texts = [f"text {i}" for i in range(60)]
    texts[7] = texts[30] = "bad"

    async def use(client: httpx.AsyncClient) -> list[httpx.Response]:
        return await asyncio.gather(
            *(client.post(PREDICT, json={"instances": [text, text + "x"]}) for text in texts)
        )

    replies = using([model], use, Limits(max_batch_size=16, max_wait=0.05))
    for text, reply in zip(texts, replies, strict=True):
        if text == "bad":
            assert (reply.status_code, reply.json()) == (400, {"error": "a text is bad"})
        else:
            found = [each["text"] for each in reply.json()["predictions"]]
            assert found == [text.upper(), text.upper() + "X"]
    assert max(map(len, model.batches)) == 16


def test_a_full_queue_asks_to_come_again() -> None:
    model = Waiting()

    async def use(client: httpx.AsyncClient) -> list[httpx.Response]:
        first = asyncio.create_task(client.post(PREDICT, json={"instances": ["a"]}))
        await asyncio.to_thread(model.began.wait, 10)
        second = asyncio.create_task(client.post(PREDICT, json={"instances": ["b", "c"]}))
        await asyncio.sleep(0.1)
        third = await client.post(PREDICT, json={"instances": ["d"]})
        model.free.set()
        return [await first, await second, third]

    replies = using([model], use, Limits(max_wait=0.0, queue_size=2, max_rows=2))
    assert [reply.status_code for reply in replies] == [200, 200, 503]
    assert replies[2].headers["retry-after"] == "1"
    assert "2 rows wait already, of at most 2" in replies[2].json()["error"]


def test_rows_of_a_client_that_has_gone_are_dropped() -> None:
    model = Waiting()

    async def run() -> None:
        with Serving([model], Limits(max_wait=0.0)) as serving:
            app = make_app(serving)
            first = asyncio.create_task(call(app, "a"))
            await asyncio.to_thread(model.began.wait, 10)
            status = await call(app, "b", stays=False)
            assert status == 499
            assert serving.hosts["loud"].batcher.queued == 0
            model.free.set()
            assert await first == 200
            assert await call(app, "c") == 200

    asyncio.run(run())
    assert [[row["text"] for row in rows] for rows in model.batches] == [["a"], ["c"]]


async def call(app: Any, text: str, *, stays: bool = True) -> int:
    """The status of a reply, to a client that may close its connection after its request."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": PREDICT,
        "raw_path": PREDICT.encode(),
        "query_string": b"",
        "headers": [],
        "server": ("server", 80),
        "scheme": "http",
        "root_path": "",
        "http_version": "1.1",
    }
    body = json.dumps({"instances": [text]}).encode()
    messages = iter([{"type": "http.request", "body": body}])
    statuses = []

    async def receive() -> Any:
        for message in messages:
            return message
        await asyncio.sleep(0.05 if not stays else 60)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0]


# --------------------------------------------------------------------------------------
# Streams
# --------------------------------------------------------------------------------------


def events(text: str) -> Iterator[tuple[str, Any]]:
    """Type and data of each event."""
    for event in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in event.split("\n"))
        yield lines.get("event", ""), json.loads(lines["data"])


def test_a_stream() -> None:
    reply = posted(Shouting(), STREAM, {"instances": ["ab", "c"]})
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert list(events(reply.text)) == [
        ("", {"index": 0, "text": "A"}),
        ("", {"index": 1, "text": "C"}),
        ("", {"index": 0, "text": "B"}),
        ("end", {}),
    ]


def test_an_error_before_a_stream_and_within_it() -> None:
    reply = posted(Shouting(), STREAM, {"instances": ["bad"]})
    assert (reply.status_code, reply.json()) == (400, {"error": "a text is bad"})
    reply = posted(Shouting(), STREAM, {"instances": ["a#b"]})
    assert reply.status_code == 200
    kind, data = list(events(reply.text))[-1]
    assert (kind, set(data)) == ("error", {"error"})
    reply = posted(Shouting(), STREAM, {"inputs": ["a"]})
    assert "a stream takes 'instances'" in reply.json()["error"]


def test_several_streams_at_once_up_to_a_limit() -> None:
    class Slow(Shouting):
        def _pieces(self, texts: list[str]) -> Iterator[list[str]]:
            for pieces in super()._pieces(texts):
                assert free.wait(10)
                yield pieces

    free = threading.Event()

    async def use(client: httpx.AsyncClient) -> list[httpx.Response]:
        streams = [
            asyncio.create_task(client.post(STREAM, json={"instances": [f"abc{i}"]}))
            for i in range(3)
        ]
        await asyncio.sleep(0.2)
        refused = await client.post(STREAM, json={"instances": ["d"]})
        free.set()
        replies = [await stream for stream in streams]
        return [*replies, refused, await client.post(STREAM, json={"instances": ["e"]})]

    *replies, refused, later = using([Slow()], use, Limits(max_streams=3))
    for i, reply in enumerate(replies):
        pieces = [data["text"] for kind, data in events(reply.text) if not kind]
        assert "".join(pieces) == f"ABC{i}"
    assert refused.status_code == 503
    assert "3 streams are in progress" in refused.json()["error"]
    assert later.status_code == 200


# --------------------------------------------------------------------------------------
# The command line
# --------------------------------------------------------------------------------------


def test_names_and_languages_of_models() -> None:
    assert read_argument("runs/a b/") == ("a-b", "runs/a b/")
    assert read_argument("x=runs/a") == ("x", "runs/a")
    assert read_argument("hf://org/name") == ("name", "hf://org/name")
    assert read_languages(["a=en:de", "b=fr:ko"], ["a", "b"]) == {"a": "en:de", "b": "fr:ko"}
    for given, message in (
        (["en:de"], "there are 2 models; write --languages a=en:de"),
        (["c=en:de"], "no model is named 'c'"),
        (["a=en:de", "a=en:ko"], "a has en:de already"),
        (["a=en"], "expected source and target languages"),
    ):
        with pytest.raises(ValueError, match=message):
            read_languages(given, ["a", "b"])


def test_limits_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="queue_size=4 is less than max_rows=8"):
        Limits(queue_size=4, max_rows=8)
    with pytest.raises(ValueError, match="max_rows=0 must be at least 1"):
        Limits(max_rows=0)
    with pytest.raises(ValueError, match="two models are named 'a'"):
        Serving([Shouting("a"), Shouting("a")])
    with pytest.raises(ValueError, match="model name 'a/b'"):
        Serving([Shouting("a/b")])
