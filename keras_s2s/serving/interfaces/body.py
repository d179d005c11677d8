"""Reads the body of a request, within its limits: JSON, or the fields of a form of either kind."""

from __future__ import annotations

import asyncio
import json
from email import policy
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from keras_s2s.serving.errors import RequestError
from keras_s2s.serving.limits import Limits

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

#: Bytes beyond the limit that are still received, and dropped, so that a client that sends its
#: whole body before it reads gets to see the reply.
DROPPED_BYTES = 2**24


async def read_body(request: Request, limits: Limits) -> bytes:
    """Reads the body of a request.

    Args:
        request: whose body was not read yet.
        limits: of the server.

    Raises:
        RequestError: 413 for a body that is too large, whether or not it says so at first; 408 for
            one that does not arrive; 415 for one that is compressed.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise RequestError(415, f"Content-Encoding is {encoding}; send the body uncompressed")
    most = limits.max_body_bytes
    declared = request.headers.get("content-length", "")
    too_large = RequestError(
        413, f"the body is too large; at most {most} bytes are taken", {"Connection": "close"}
    )
    # One who asks first whether to send it is told at once.
    if declared.isdigit() and int(declared) > most and "expect" in request.headers:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most + DROPPED_BYTES:
                    break
                if size <= most:
                    chunks.append(chunk)
                else:
                    chunks.clear()
    except TimeoutError:
        raise RequestError(
            408,
            f"the body did not arrive within {limits.body_seconds:g} seconds",
            {"Connection": "close"},
        ) from None
    if size > most:
        raise too_large
    return b"".join(chunks)


def read_json(body: bytes) -> dict[str, Any]:
    """Reads a JSON object.

    Args:
        body: of a request, in UTF-8.

    Raises:
        RequestError: 400: bytes that are no UTF-8, broken JSON, a key that is there twice, or
            something else than an object.

    Example:
        >>> read_json(b'{"instances": ["a"]}')
        {'instances': ['a']}
    """
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_without_repeated)
    except UnicodeDecodeError as error:
        raise RequestError(
            400, f"the body is not UTF-8: {error.reason} at byte {error.start}"
        ) from None
    except json.JSONDecodeError as error:
        raise RequestError(400, f"JSON Parse error: {error.msg} at offset: {error.pos}") from None
    except RecursionError:
        raise RequestError(400, "JSON Parse error: lists or objects nested too deeply") from None
    except ValueError as error:  # a number with too many digits
        raise RequestError(400, f"JSON Parse error: {error}") from None
    if not isinstance(value, dict):
        raise RequestError(
            400, f"the body is a JSON {type(value).__name__}; expected an object {{...}}"
        )
    return value


def _without_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        # `add` returns None.
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise RequestError(400, f"key {twice!r} is there more than once")
    return found


def read_form(body: bytes, lists: tuple[str, ...] = ()) -> dict[str, Any]:
    """Reads the fields of a form (`application/x-www-form-urlencoded`).

    Args:
        body: of a request.
        lists: fields that may be there several times; their value is then a list.

    Raises:
        RequestError: 400: a field that is there twice, or is no UTF-8.

    Example:
        >>> read_form(b"q=ein+Hund&source=de&target=en")
        {'q': 'ein Hund', 'source': 'de', 'target': 'en'}
    """
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, encoding="utf-8", errors="strict"
        )
    except UnicodeDecodeError as error:
        raise RequestError(400, f"the form is not UTF-8: {error.reason}") from None
    except ValueError as error:
        raise RequestError(400, f"the form cannot be read: {error}") from None
    return _fields(pairs, lists)


def read_multipart(body: bytes, kind: str, lists: tuple[str, ...] = ()) -> dict[str, Any]:
    """Reads the fields of a form (`multipart/form-data`).

    Args:
        body: of a request.
        kind: its Content-Type, which has the boundary.
        lists: fields that may be there several times; their value is then a list.

    Raises:
        RequestError: 400: no such form, a file, or a field that is there twice, or is no UTF-8.

    Example:
        >>> part = b'Content-Disposition: form-data; name="q"'
        >>> body = b"\\r\\n".join([b"--b", part, b"", b"ein Hund", b"--b--", b""])
        >>> read_multipart(body, "multipart/form-data; boundary=b")
        {'q': 'ein Hund'}
    """
    head = f"Content-Type: {kind}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=policy.HTTP).parsebytes(head + body)
    if not message.is_multipart() or message.defects:
        raise RequestError(400, "the form cannot be read: no parts between its boundaries")
    pairs: list[tuple[str, str]] = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if part.get_content_disposition() != "form-data" or not isinstance(name, str):
            raise RequestError(400, "the form cannot be read: a part of it has no name")
        if part.get_filename() is not None:
            raise RequestError(400, f"field {name!r} is a file; expected a text")
        content = part.get_payload(decode=True)
        try:
            pairs.append((name, bytes(content or b"").decode("utf-8")))
        except UnicodeDecodeError as error:
            raise RequestError(400, f"the form is not UTF-8: {error.reason}") from None
    return _fields(pairs, lists)


def _fields(pairs: list[tuple[str, str]], lists: tuple[str, ...]) -> dict[str, Any]:
    """Returns the fields of a form by name."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in found:
            found[name] = value
        elif name in lists:
            before = found[name]
            found[name] = [*(before if isinstance(before, list) else [before]), value]
        else:
            raise RequestError(400, f"field {name!r} is there more than once")
    return found
