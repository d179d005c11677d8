"""Reads texts, one a line, each with its file and line number."""

from __future__ import annotations

import contextlib
import gzip
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

_GZIP_MAGIC = b"\x1f\x8b"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


class Line(NamedTuple):
    """A text and where it came from.

    Attributes:
        place: where it stands, for messages: `in.txt, line 7`.
        text: without its line end; empty where it could not be read.
        problem: why it could not be read.
    """

    place: str
    text: str
    problem: str | None = None


@contextlib.contextmanager
def open_lines(texts: list[str] | None, path: str | None) -> Iterator[Iterator[Line]]:
    """Yields the texts of the command line, or the lines of a file or of standard input.

    Args:
        texts: given as words; they go before any file.
        path: a UTF-8 file, plain or compressed with gzip; None and "-" are standard input.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds UTF-16.
    """
    if texts:
        yield _words(texts)
    elif path in (None, "-"):
        yield _decoded(sys.stdin.buffer, "standard input")
    else:
        assert path is not None
        with open(path, "rb") as file:
            packed = file.peek(2)[:2] == _GZIP_MAGIC
            lines: Any = gzip.GzipFile(fileobj=file) if packed else file
            yield _decoded(lines, path)


def _words(texts: list[str]) -> Iterator[Line]:
    for number, text in enumerate(texts, 1):
        place = f"text {number}"
        try:
            # In a locale without letters, bytes of a command line arrive as halves of surrogates.
            yield Line(place, text.encode("utf-8", "surrogateescape").decode("utf-8"))
        except UnicodeError:
            yield Line(place, "", "is not valid UTF-8")


def _decoded(lines: Iterable[bytes], name: str) -> Iterator[Line]:
    number = 0
    try:
        for number, line in enumerate(lines, 1):
            place = f"{name}, line {number}"
            if number == 1:
                if line.startswith(_UTF16_BOMS):
                    raise ValueError(f"{place}: UTF-16, expected UTF-8; convert it first")
                line = line.removeprefix(b"\xef\xbb\xbf")
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            try:
                yield Line(place, line.decode("utf-8"))
            except UnicodeDecodeError as error:
                at = f"byte 0x{line[error.start]:02x} at position {error.start + 1}"
                yield Line(place, "", f"is not valid UTF-8 ({at}); convert it first")
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{name}, after line {number}: damaged gzip data ({error})") from None
