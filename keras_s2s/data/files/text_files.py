"""Reads lines of text files.

A line ends at a line feed, with or without a carriage return before it, and nowhere else.
Python's `splitlines` would also split at U+2028, U+0085 or a form feed, which occur inside
sentences, and from there on every pair of two line-aligned files would be a wrong one.
"""

from __future__ import annotations

import gzip
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from tqdm import tqdm

from keras_s2s.data.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


def text_lines(path: Path) -> Iterator[str]:
    """Yields the lines of a UTF-8 file, plain or compressed with gzip, without their line ends.

    Raises:
        DataError: the file is missing, damaged or not UTF-8; the message names the line.
    """
    number = 0
    try:
        with path.open("rb") as raw:
            status = os.fstat(raw.fileno())
            size = status.st_size if stat.S_ISREG(status.st_mode) else None
            with tqdm(
                desc=path.name,
                total=size,
                unit="B",
                unit_scale=True,
                delay=1,
                leave=False,
                file=sys.stderr,
            ) as bar:
                for number, line in enumerate(_decompressed(path, raw), 1):
                    if size is not None and number % 4096 == 0:
                        bar.update(raw.tell() - bar.n)
                    yield _decoded(line, path, number)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path}, after line {number}: damaged gzip data ({error}); fetch the file again"
        ) from None
    except FileNotFoundError:
        packed = path.with_name(path.name + ".gz")
        hint = f"; there is a {packed}" if packed.exists() else ""
        raise DataError(f"{path}: no such file{hint}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def _decompressed(path: Path, raw: Any) -> BinaryIO:
    if raw.peek(2)[:2] == _GZIP_MAGIC:
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    if path.suffix.lower() == ".gz":
        raise DataError(f"{path}: named .gz, but its content is not gzip data")
    return cast(BinaryIO, raw)


def _decoded(line: bytes, path: Path, number: int) -> str:
    if number == 1:
        if line.startswith(_UTF16_BOMS):
            raise DataError(f"{path}, line 1: UTF-16, expected UTF-8; convert the file")
        line = line.removeprefix(_UTF8_BOM)
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number}: not valid UTF-8 (byte 0x{line[error.start]:02x} at "
            f"position {error.start + 1}: {error.reason}); convert the file, e.g. with iconv"
        ) from None
