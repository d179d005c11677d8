"""An interrupt is never lost, wherever it arrives."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import contextlib, gc, os, signal, time
from keras_s2s.cli import interrupts
from keras_s2s.cli.interrupts import kept_interrupts
interrupts.AGAIN = {again}
# A shell that runs the tests in the background has its children ignore interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

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
        end = time.monotonic() + {seconds}
        while time.monotonic() < end:
            time.sleep(0.01)
        print("lost")
    except KeyboardInterrupt:
        print("raised")
"""


# At once, too, as on a busy machine: it may arrive while the hook still runs.
@pytest.mark.parametrize(
    ("kept", "again", "seconds", "outcome"),
    [(True, 0.02, 60, "raised"), (True, 0.0, 60, "raised"), (False, 0.02, 1, "lost")],
)
def test_an_interrupt_in_a_callback_of_the_garbage_collector(
    kept: bool, again: float, seconds: float, outcome: str
) -> None:
    program = PROGRAM.format(kept=kept, again=again, seconds=seconds)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == outcome, done.stderr
