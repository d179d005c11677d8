"""Limits of the server, and their checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from keras_s2s.serving.errors import RequestError


@dataclass(frozen=True)
class Limits:
    """What a request may ask for.

    Attributes:
        max_batch_size: most rows that are computed together.
        max_wait: longest time in seconds that a request waits for others.
        queue_size: most rows that wait for a model.
        max_body_bytes: largest body of a request.
        max_rows: most texts, or rows of ids, of a request.
        max_characters: longest text that a model gets as a whole.
        max_beams: most beams, results and groups that a request's parameters may ask for.
        max_result_ids: most ids of a result that a request's parameters may ask for.
        max_streams: most streams at the same time.
        body_seconds: longest time in seconds for the body of a request to arrive.
        stop_seconds: longest time in seconds to finish accepted requests when the server stops.

    Raises:
        ValueError: a limit below its least value, or a queue that is shorter than a request.

    Example:
        >>> Limits(max_rows=8).max_rows
        8
    """

    max_batch_size: int = 32
    max_wait: float = 0.005
    queue_size: int = 1024
    max_body_bytes: int = 2**20
    max_rows: int = 256
    max_characters: int = 10_000
    max_beams: int = 16
    max_result_ids: int = 1024
    max_streams: int = 16
    body_seconds: float = 30.0
    stop_seconds: float = 60.0

    def __post_init__(self) -> None:
        for each in fields(self):
            least = 0 if each.name == "max_wait" else 1
            if not getattr(self, each.name) >= least:
                raise ValueError(f"{each.name}={getattr(self, each.name)} must be at least {least}")
        if self.queue_size < self.max_rows:
            raise ValueError(
                f"queue_size={self.queue_size} is less than max_rows={self.max_rows}, so that "
                "a request of that size could never be accepted; raise the one or lower the other"
            )

    def check_rows(self, count: int, what: str) -> None:
        """Raises an error for a request with too many rows.

        Args:
            count: rows of the request.
            what: the field that has them.

        Raises:
            RequestError: 413.
        """
        if count > self.max_rows:
            raise RequestError(
                413, f"{what} has {count} rows; at most {self.max_rows} are taken at a time"
            )

    def check_texts(self, texts: Sequence[str], what: str, most: int | None = None) -> None:
        """Raises an error for texts that are too long, or are no Unicode.

        Args:
            texts: of the request.
            what: the field that has them.
            most: most characters of a text; None is `max_characters`.

        Raises:
            RequestError: 413 for a text that is too long, 400 for half of a surrogate pair.
        """
        most = self.max_characters if most is None else most
        for i, text in enumerate(texts):
            if len(text) > most:
                raise RequestError(
                    413,
                    f"text {i} of {what} has {len(text)} characters; at most {most} are taken",
                )
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise RequestError(
                    400, f"text {i} of {what} is no Unicode text: {error.reason}"
                ) from None
