"""`keras-s2s serve` as a process: real connections, a real client, and a stop under load."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cli.small_folder import save_small_model
from libretranslatepy import LibreTranslateAPI
from small_models import COMPILES

from keras_s2s import Seq2SeqLM

# Starting a process takes seconds, and no backend has a part in the rest.
pytestmark = [pytest.mark.slow, pytest.mark.skipif(COMPILES, reason="once is enough")]

TEXTS = ["ab c", "abc", "가나", "c", "bca b", "a a a"]


class Server:
    """A running `keras-s2s serve`."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "keras_s2s", "serve", *words, "--port", "0"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self.listening = threading.Event()
        self.port = 0
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        assert self.listening.wait(120), self.lines
        self.url = f"http://127.0.0.1:{self.port}"
        for _ in range(200):
            try:
                self.get("/ready")
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the server does not listen")

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(r"at http://127\.0\.0\.1:(\d+)/", line):
                self.port = int(found[1])
                self.listening.set()
        self.listening.set()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as reply:
            return json.load(reply)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.reader.join(10)
        return code


@contextmanager
def serving(*words: str) -> Iterator[Server]:
    server = Server(*words)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait(10)
        server.reader.join(10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_small_model(tmp_path_factory.mktemp("served") / "small")


@pytest.fixture(scope="module")
def expected(folder: str) -> dict[str, str]:
    model = Seq2SeqLM.from_preset(folder)
    return dict(zip(TEXTS, model.generate(TEXTS), strict=True))


def predict(connection: http.client.HTTPConnection, text: str) -> tuple[int, Any]:
    body = json.dumps({"instances": [text]})
    connection.request("POST", "/v1/models/small:predict", body)
    reply = connection.getresponse()
    return reply.status, json.load(reply)


def test_a_real_client_of_libretranslate(folder: str, expected: dict[str, str]) -> None:
    with serving(folder, f"second={folder}", "--languages", "small=en:de,ko") as server:
        client = LibreTranslateAPI(server.url)
        assert client.languages() == [{"code": "en", "name": "English", "targets": ["de", "ko"]}]
        for text in TEXTS:
            assert client.translate(text, "en", "de") == expected[text].strip()
        assert server.get("/ready")["models"] == ["small", "second"]
        # Broken requests, and clients that go, leave it as it was.
        for junk in (b"\x00\xff" * 100, b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\nx"):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(junk)
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", server.port))
            body = json.dumps({"instances": TEXTS}).encode()
            head = f"POST /v1/models/small:predict HTTP/1.1\r\nContent-Length: {len(body)}"
            connection.sendall(f"{head}\r\nHost: x\r\n\r\n".encode() + body)
            connection.close()
        assert client.translate("abc", "en", "ko") == expected["abc"].strip()
        assert server.stop() == 0
    assert server.lines[-1] == "stopped\n"


def test_a_large_body_on_a_real_connection(folder: str) -> None:
    with serving(folder) as server:
        for size in (2**21, 2**23):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            connection.request("POST", "/v1/models/small:predict", b" " * size)
            reply = connection.getresponse()
            assert reply.status == 413
            assert "too large" in json.load(reply)["error"]
            connection.close()
        assert server.get("/health") == {"status": "ok"}


def test_sigterm_under_load_replies_to_every_accepted_request(
    folder: str, expected: dict[str, str]
) -> None:
    results: Counter[str] = Counter()
    wrong: list[Any] = []
    begun = threading.Event()

    def client(port: int, number: int) -> None:
        for i in range(10_000):
            text = TEXTS[(number + i) % len(TEXTS)]
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.connect()
            except OSError:
                return  # it has closed
            try:
                status, reply = predict(connection, text)
            except OSError as error:
                # It was in the queue of the system, and not accepted yet, when the server closed.
                results[f"no reply: {type(error).__name__}"] += 1
                return
            finally:
                connection.close()
            results[str(status)] += 1
            if status == 200:
                begun.set()
                found = reply["predictions"][0]["text"]
                if found != expected[text]:
                    wrong.append((text, found))
            elif status != 503 or reply != {"error": "the server stops"}:
                wrong.append((status, reply))

    with serving(folder, "--max-batch-size", "4", "--max-wait-ms", "20") as server:
        clients = [
            threading.Thread(target=client, args=(server.port, number)) for number in range(12)
        ]
        for each in clients:
            each.start()
        assert begun.wait(60)
        time.sleep(1.0)
        code = server.stop()
        for each in clients:
            each.join(60)
    assert code == 0
    assert wrong == []
    assert results["200"] >= 12
    assert results["503"] >= 1
    assert sum(count for kind, count in results.items() if "no reply" in kind) <= 12


def test_a_stream_is_finished_before_the_end(folder: str) -> None:
    with serving(folder) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request(
            "POST", "/v1/models/small:stream", json.dumps({"instances": ["abc"] * 50})
        )
        reply = connection.getresponse()
        assert reply.status == 200
        server.process.send_signal(signal.SIGINT)
        assert reply.read().decode().endswith("event: end\ndata: {}\n\n")
        assert server.process.wait(60) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{folder}", "--host", "203.0.113.1"], "--host 203.0.113.1 --port 0: "),
        (["{folder}", "--backend", "numpy"], "--backend numpy: expected one of"),
        (["a b={folder}"], "model name 'a b'"),
        (["{folder}", "--queue-size", "3"], "queue_size=3 is less than max_rows=256"),
        (["{folder}", "--num-beams", "0"], "num_beams"),
    ],
)
def test_mistakes(folder: str, words: list[str], message: str) -> None:
    command = [sys.executable, "-m", "keras_s2s", "serve", "--port", "0"]
    command += [word.format(folder=folder) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_in_use(folder: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "keras_s2s", "serve", folder, "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert f"--port {port}: Address already in use" in done.stderr
