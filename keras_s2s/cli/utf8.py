"""Writes standard output in UTF-8, as files and standard input are, in every locale.

Otherwise a text that the locale cannot represent would be an error after all the work: with
`PYTHONIOENCODING=latin-1`, or on Windows where the output is redirected.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def utf8_output() -> Iterator[None]:
    """Writes UTF-8 to standard output and standard error; afterwards they are as they were."""
    changed: list[tuple[Any, str, str | None]] = []
    # The name of a file may hold bytes that are no UTF-8; they come out as they came in.
    for stream, errors in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        if hasattr(stream, "reconfigure"):
            changed.append((stream, stream.encoding, stream.errors))
            stream.reconfigure(encoding="utf-8", errors=errors)
    try:
        yield
    finally:
        for stream, encoding, was in changed:
            # The stream may be closed, e.g. by its reader.
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(encoding=encoding, errors=was)
