"""A process for each engine, spoken to in lines of JSON; both ends of the pipe.

The process reads requests from its standard input and answers each with one line on what was
its standard output; whatever libraries print goes to a log file. Between two requests it is
blocked in a read.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from serving_load.clients import Clients
from training_speed.engines import PREFIX, TRAINERS

from generation.engines import ENGINES, Settings
from generation.helpers import Calibrate, Convert, Save, Split
from generation.limits import Limits
from generation.model import BenchmarkError
from generation.watched import WatchedProcess

BENCHMARKS = Path(__file__).resolve().parents[1]

HELPERS: dict[str, type[Any]] = {
    "limits": Limits,
    "calibrate": Calibrate,
    "convert": Convert,
    "split": Split,
    "save": Save,
    "clients": Clients,
    **{PREFIX + name: spec.make for name, spec in TRAINERS.items()},
}


class WorkerError(RuntimeError):
    """A worker refused, failed or died; the message has the end of its log where that helps."""


# --------------------------------------------------------------------------------------
# The parent's end
# --------------------------------------------------------------------------------------


class Worker(WatchedProcess):
    """A process that holds one engine.

    Args:
        kind: a name out of `ENGINES` or `HELPERS`.
        settings: for its constructor.
        backend: for KERAS_BACKEND.

    Raises:
        WorkerError: it could not be built.
    """

    def __init__(self, kind: str, settings: Settings, backend: str | None) -> None:
        self.kind = kind
        self.log = Path(settings.folder) / f"{kind}.log"
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "generation.worker", kind, json.dumps(asdict(settings))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(settings, backend),
                # Ctrl-C reaches the parent, which closes the workers.
                start_new_session=True,
            )
        try:
            self.ready_seconds = self._read(1800)["seconds"]
        except BaseException:
            self.close()
            raise

    def ask(self, request: dict[str, Any], timeout: float = 3600) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            WorkerError: the worker failed, died, or took longer than `timeout` seconds.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write((json.dumps(request) + "\n").encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._failure("its process has ended") from None
        return self._read(timeout)

    def _read(self, timeout: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        if not ready:
            raise self._failure(f"no answer within {timeout:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            raise self._failure("its process has ended")
        answer = json.loads(line)
        if "refused" in answer:
            raise WorkerError(answer["refused"])
        if "error" in answer:
            raise self._failure(answer["error"])
        return answer

    def _failure(self, what: str) -> WorkerError:
        tail = self.end_of_log()
        return WorkerError(what + (f"\n{tail}" if tail else ""))

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(10 if self.process.poll() is None else 0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def environment(settings: Settings, backend: str | None) -> dict[str, str]:
    """Variables of a worker: backend, device, threads, and nothing that slows a library down."""
    threads = str(settings.threads)
    mine = {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TQDM_DISABLE": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        # A keras.json in somebody's home must not choose a type or an image format.
        "KERAS_HOME": str(Path(settings.folder) / "keras"),
        # Both the helpers beside this file and a checkout that is not installed are found.
        "PYTHONPATH": os.pathsep.join(
            [str(BENCHMARKS), str(BENCHMARKS.parent), os.environ.get("PYTHONPATH", "")]
        ).rstrip(os.pathsep),
    }
    # Set where many tiny programs are compiled for one call each, as in tests.
    mine.pop("JAX_DISABLE_MOST_OPTIMIZATIONS", None)
    if backend is not None:
        mine["KERAS_BACKEND"] = backend
    if settings.device == "cpu":
        mine |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
        return mine
    # Several workers share the GPU's memory.
    mine |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    if settings.dtype == "float32":
        mine |= {"NVIDIA_TF32_OVERRIDE": "0", "JAX_DEFAULT_MATMUL_PRECISION": "highest"}
    return mine


# --------------------------------------------------------------------------------------
# The worker's end
# --------------------------------------------------------------------------------------


def main(kind: str, options: str) -> None:
    """Build what `kind` names and answer requests until the input ends."""
    # What libraries print must not stand between the answers.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def reply(answer: dict[str, Any]) -> None:
        replies.write(json.dumps(answer) + "\n")
        replies.flush()

    settings = Settings(**json.loads(options))
    try:
        begin = time.perf_counter()
        keep_to_cores(settings.threads)
        make: Any = ENGINES[kind].make if kind in ENGINES else HELPERS[kind]
        service = make(settings)
        reply({"seconds": time.perf_counter() - begin})
        for line in sys.stdin:
            reply(service.answer(json.loads(line)))
    except BenchmarkError as error:
        reply({"refused": str(error)})
    except Exception as error:
        traceback.print_exc()
        reply({"error": f"{type(error).__name__}: {error}"})


def keep_to_cores(threads: int) -> None:
    """Bind the process to `threads` of the cores it may use; XLA knows no other way."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[:threads])


if __name__ == "__main__":
    main(*sys.argv[1:])
