"""Keeps an interrupt (Ctrl-C) that arrives where Python would drop it."""

from __future__ import annotations

import _thread
import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

#: Seconds until a dropped interrupt comes again: raised at once, it would end in the hook that
#: learns of it, and be dropped there.
AGAIN = 0.02


@contextlib.contextmanager
def kept_interrupts() -> Iterator[None]:
    """Raises a Ctrl-C again that arrived where Python drops errors.

    An error within a callback of the garbage collector, or a finaliser, is printed and forgotten.
    JAX has such a callback, and is imported wherever it is installed, so that a Ctrl-C during
    start-up would be lost now and then.
    """
    before = sys.unraisablehook

    def hook(dropped: Any) -> None:
        if dropped.exc_type is not KeyboardInterrupt:
            before(dropped)
            return
        seconds = AGAIN
        while True:
            try:
                again = threading.Timer(seconds, _thread.interrupt_main)
                again.daemon = True
                return again.start()
            except KeyboardInterrupt:
                # It came while this hook still ran, which would drop it, too: the machine is busy.
                seconds = 2 * max(seconds, 0.01)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
