"""Decides how long an incomplete batch waits for further requests."""

from __future__ import annotations

#: After a batch, the clients that got its results may send their next requests. So long nothing
#: may happen (no reply is sent, no request comes) before those that wait are computed without
#: them, as a share of the batch's seconds.
LONGEST_GAP = 0.05
#: And so long they are waited for altogether.
LONGEST_RETURN = 0.25


class Patience:
    """Says when a batch starts although it is not full.

    A request waits for others for `max_wait` seconds. Where many clients send one request after
    another, those whose results are done send the next ones a moment later. If the batch after
    them started at once with what waits already, half of the clients would wait for the other
    half from then on, and batches would stay half full. Therefore the clients of a batch are given
    time to return, in proportion to what the batch took: a hundredth part of a second costs
    nothing where a batch takes a second, and is not spent where it takes a hundredth.

    Args:
        max_wait: longest time in seconds that a request waits for others; with 0 nothing waits.

    Example: a batch of two requests took a second; one client returns at once.

        >>> patience = Patience(max_wait=0.005)
        >>> patience.ended(now=10.0, seconds=1.0, requests=2)
        >>> patience.arrived(now=10.01)
        >>> round(patience.start(oldest=10.01), 3)  # the other one may come up to then
        10.06
        >>> patience.arrived(now=10.02)
        >>> round(patience.start(oldest=10.01), 3)
        10.015
    """

    def __init__(self, max_wait: float) -> None:
        self.max_wait = max_wait
        self._absent = 0  # clients of the last batch that have not returned
        self._newest = self._gap = self._end = 0.0

    def arrived(self, now: float) -> None:
        """Notes a request."""
        self._absent -= 1
        self._newest = now

    def noticed(self, now: float) -> None:
        """Notes that a reply is on its way to a client, or that a request begins to arrive."""
        self._newest = now

    def ended(self, now: float, seconds: float, requests: int) -> None:
        """Notes the end of a batch.

        Args:
            now: time in seconds.
            seconds: that it took.
            requests: that are answered by it; not those of which some rows still wait.
        """
        self._absent, self._newest = requests, now
        self._gap, self._end = LONGEST_GAP * seconds, now + LONGEST_RETURN * seconds

    def start(self, oldest: float) -> float:
        """Returns the time at which a batch starts, unless further requests come before.

        Args:
            oldest: time at which the oldest request came.
        """
        alone = oldest + self.max_wait
        if not self.max_wait or self._absent <= 0:
            return alone
        return max(alone, min(self._newest + self._gap, self._end))
