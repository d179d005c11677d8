"""A lock that threads get in the order in which they ask for it."""

from __future__ import annotations

import threading
from collections import deque


class FairLock:
    """A reentrant lock, first come, first served; a context manager.

    Python's own locks guarantee no order: a thread that releases one and asks again at once, as a
    training loop does, mostly gets it before those that wait.

    Example:
        >>> lock = FairLock()
        >>> with lock:
        ...     pass  # one thread at a time is here
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._owner: int | None = None
        self._depth = 0

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._guard:
            if self._owner in (None, me):
                self._owner, self._depth = me, self._depth + 1
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        try:
            mine.acquire()  # released by the thread before
        except BaseException:
            # Interrupted while waiting: the lock must not be given to a thread that has gone.
            with self._guard:
                if mine in self._waiting:
                    self._waiting.remove(mine)
                else:
                    self._hand_over()
            raise
        self._owner, self._depth = me, 1

    def __exit__(self, *exception: object) -> None:
        with self._guard:
            self._depth -= 1
            if not self._depth:
                self._hand_over()

    def _hand_over(self) -> None:
        """Lets the next thread in; meanwhile the lock is held, so that no other thread gets it."""
        if self._waiting:
            self._owner = -1
            self._waiting.popleft().release()
        else:
            self._owner = None
