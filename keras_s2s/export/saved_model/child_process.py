"""Runs a Python program in a process of its own, on the CPU."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence

from keras_s2s.export.errors import ExportError

SHOWN_LINES = 30


def run_python(
    arguments: Sequence[str], environment: Mapping[str, str], what: str, request: str = ""
) -> None:
    """Runs Python, and waits until it ends.

    Args:
        arguments: of Python.
        environment: its variables; no GPU is visible to it, whatever they say.
        what: subject of the error, "the second process" for example.
        request: what it reads from standard input.

    Raises:
        ExportError: it failed; the message ends with what it said.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**environment, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
        input=request,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-SHOWN_LINES:])
        raise ExportError(f"{what} failed with exit status {done.returncode}; it said:\n{said}")
