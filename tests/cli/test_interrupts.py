"""An interrupt is never lost, wherever it arrives."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import contextlib, gc, os, signal, time
from keras_s2s.cli.interrupts import kept_interrupts

sent = []

def callback(phase, info):
    # As JAX has one: what is raised in here is dropped.
    if not sent:
        sent.append(os.kill(os.getpid(), signal.SIGINT))
        time.sleep(0)

gc.disable()  # it must not run before it is called
gc.callbacks.append(callback)
with kept_interrupts() if {kept} else contextlib.nullcontext():
    try:
        gc.collect()
        end = time.monotonic() + 2
        while time.monotonic() < end:
            pass
        print("lost")
    except KeyboardInterrupt:
        print("raised")
"""


@pytest.mark.parametrize(("kept", "outcome"), [(True, "raised"), (False, "lost")])
def test_an_interrupt_in_a_callback_of_the_garbage_collector(kept: bool, outcome: str) -> None:
    program = PROGRAM.format(kept=kept)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == outcome, done.stderr
