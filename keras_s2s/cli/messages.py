"""Shows log messages of the package on standard error."""

from __future__ import annotations

import logging
import sys


def show_messages() -> None:
    """Shows the package's own messages on standard error, as plain lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("keras_s2s")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def hide_messages() -> None:
    """Undoes `show_messages`, for a process that continues after a command."""
    logger = logging.getLogger("keras_s2s")
    logger.handlers = []
    logger.setLevel(logging.NOTSET)
    logger.propagate = True
