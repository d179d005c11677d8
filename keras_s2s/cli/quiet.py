"""Keeps the backends from logging their start.

Each backend is told by its own environment variables, before it is imported:

| variable | of | here | means |
| --- | --- | --- | --- |
| `TF_CPP_MIN_LOG_LEVEL` | TensorFlow, and XLA under JAX | 3 | what is fatal (errors are raised) |
| `TORCH_CPP_LOG_LEVEL` | PyTorch | ERROR | errors only |

A variable that is set already stays as it is. TensorFlow's libraries (which Keras also loads for
work on another backend) write some lines while they are loaded, before they read any variable.
Those are dropped by a small process that reads what C++ code writes to standard error and passes on
all other lines, also those of a crash; what Python writes does not go through it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec

BACKENDS = ("tensorflow", "jax", "torch")

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TORCH_CPP_LOG_LEVEL": "ERROR"}

#: Lines of absl's log below an error, and what absl says about its log.
DROPPED = rb"[IW]\d{4} \d\d:\d\d:|WARNING: All log messages before absl::InitializeLog"

_FILTER = """
import re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
dropped = re.compile(sys.argv[1].encode()).match
for line in sys.stdin.buffer:
    if not dropped(line):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
"""


@contextlib.contextmanager
def quiet_backends(wanted: bool = True) -> Iterator[None]:
    """Asks the backends not to log; afterwards the environment is as it was.

    Args:
        wanted: False lets everything through.
    """
    added = [name for name in QUIET if wanted and name not in os.environ]
    os.environ.update({name: QUIET[name] for name in added})
    global _drops_lines
    before, _drops_lines = _drops_lines, wanted
    try:
        yield
    finally:
        _drops_lines = before
        _until_the_end.close()
        for name in added:
            os.environ.pop(name, None)


def import_backend() -> None:
    """Imports Keras and its backend, without the lines that they log while they load.

    Raises:
        ImportError: the backend is not installed; the message says what to do.
        ValueError: Keras knows none of this name.
    """
    if "keras" in sys.modules:
        return
    # Not where the user asks for more.
    if _drops_lines and os.environ.get("TF_CPP_MIN_LOG_LEVEL") in ("2", "3"):
        _until_the_end.enter_context(without_load_messages())
    try:
        import keras  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name in BACKENDS:
            raise ImportError(_not_installed(error.name)) from None
        raise
    except ValueError as error:
        if (name := os.environ.get("KERAS_BACKEND")) and name not in BACKENDS:
            raise ValueError(
                f"KERAS_BACKEND={name}: {error}; expected one of {', '.join(BACKENDS)}"
            ) from None
        raise


def _not_installed(backend: str) -> str:
    others = [name for name in BACKENDS if name != backend and find_spec(name) is not None]
    choice = " or ".join(f"KERAS_BACKEND={name}" for name in others)
    return (
        f"Keras is to run on {backend}, which is not installed: "
        f'pip install "keras-s2s[{backend}]"'
        + (f", or set {choice}, which is installed" if others else "")
    )


@contextlib.contextmanager
def without_load_messages() -> Iterator[None]:
    """Filters standard error of C++ code through a process that drops the lines in `DROPPED`."""
    python = sys.stderr
    try:
        python.flush()
        real = os.dup(2)
    except (AttributeError, OSError):  # there is no standard error
        yield
        return
    command = [sys.executable, "-I", "-S", "-c", _FILTER, DROPPED.decode()]
    reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=real)
    assert reader.stdin is not None
    os.dup2(reader.stdin.fileno(), 2)
    # Still a terminal where it was one, so that progress is drawn as before.
    direct = os.fdopen(real, "w", 1, python.encoding, python.errors)
    if python is sys.__stderr__:
        sys.stderr = direct
    try:
        yield
    finally:
        sys.stderr = python
        python.flush()
        direct.flush()
        os.dup2(real, 2)
        direct.close()
        reader.stdin.close()
        # A process that inherited the pipe may keep it open; it is not waited for.
        with contextlib.suppress(subprocess.TimeoutExpired):
            reader.wait(timeout=2)


#: What `import_backend` has set up, for as long as `quiet_backends` lasts.
_until_the_end = contextlib.ExitStack()
_drops_lines = False
