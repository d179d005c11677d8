"""Servers that are measured: real processes that listen at a port of this machine."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from generation.engines import Settings
from generation.watched import WatchedProcess
from generation.worker import WorkerError, environment

from serving_load.clients import MODEL

#: Longest time in seconds until a server listens.
START_SECONDS = 600.0


class Server(WatchedProcess):
    """A server that has started.

    Args:
        name: of its log.
        words: of its command, after Python's own; it logs the address of the model.
        settings: of every engine.
        backend: for KERAS_BACKEND.

    Attributes:
        port: at which it listens.

    Raises:
        WorkerError: it does not listen.
    """

    def __init__(
        self, name: str, words: Sequence[str], settings: Settings, backend: str | None
    ) -> None:
        self.log = Path(settings.folder) / f"{name}.log"
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "serving_load.on_cores", str(settings.threads), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(settings, backend),
                start_new_session=True,  # as in `generation.worker`
            )
        begin = time.perf_counter()
        try:
            self.port = self._wait(begin)
        except BaseException:
            self.close()
            raise
        self.ready_seconds = time.perf_counter() - begin

    def _wait(self, begin: float) -> int:
        address = re.compile(rf"http://127\.0\.0\.1:(\d+)/v1/models/{MODEL}\b")
        while time.perf_counter() - begin < START_SECONDS:
            if self.process.poll() is not None:
                raise WorkerError(f"the server has ended\n{self.end_of_log()}")
            if found := address.search(self.log.read_text(encoding="utf-8", errors="replace")):
                with contextlib.suppress(OSError):
                    get(int(found[1]), "/ready")
                    return int(found[1])
            time.sleep(0.05)
        raise WorkerError(f"the server does not listen\n{self.end_of_log()}")

    def batches(self) -> tuple[int, int]:
        """Batches computed so far, and their rows."""
        text = get(self.port, "/metrics")

        def total(what: str) -> int:
            found = re.findall(rf"^keras_s2s_batch_rows_{what}{{.*}} (\S+)$", text, re.MULTILINE)
            return int(sum(map(float, found)))

        return total("count"), total("sum")

    def close(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def get(port: int, path: str) -> str:
    """The reply to a GET request.

    Raises:
        OSError: no reply, or an error.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
        return reply.read().decode("utf-8")
