"""Reads subtitles, SubRip (SRT) and WebVTT, as blocks: the text of each cue.

Times, numbers, identifiers, settings, the header and the blocks NOTE, STYLE and REGION are no part
of them. WebVTT: https://www.w3.org/TR/webvtt1/
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from keras_s2s.documents.formats.blocks import Block, Mark

#: `00:00:01,000 --> 00:00:04,000`, with hours or without, and settings behind it. Programs also
#: write it without milliseconds, and with a space or a colon before them.
_TIME = r"(\d+:)?\d{1,2}:\d{1,2}([.,:]\s*\d+)?"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}")
#: A line that looks like times: none of a text begins so.
_LIKE_TIMES = re.compile(r"\s*\d+[:;]\d+[\s\d:.,;]*-->|\s*(\d+:)?\d+:\d+[.,]\d+\s*->")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
#: Begin what a speaker says, in a line of its own.
_SPEAKER_DASHES = ("-", "–", "—", "‐", "−", ">>")
#: Tags at the beginning of a line, before the dash of a speaker.
_TAGS = re.compile(r"\s*(?:<[^<>]*>\s*|\{\\[^{}]*\}\s*)+")
#: What is read as a tag where it is broken over two lines: one with attributes, or a speaker.
_BROKEN_TAG = re.compile(
    r"""</?(?:b|c|font|i|ruby|rt|s|span|u)(?:\s+[\w-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s<>]+))*\s*>"""
    r"|</?(?:lang|v)\b[^<>]*>",
    re.IGNORECASE,
)
_VTT_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\u00a0": "&nbsp;"}


class _Line(NamedTuple):
    """A line, and where it stands; `end` is before the line break."""

    text: str
    start: int
    end: int


def subtitle_blocks(document: str, format: Literal["srt", "vtt"]) -> list[Block]:
    """Returns the texts of the cues, as blocks.

    The lines of a cue are one text, unless they begin with the dash of a speaker.

    Args:
        document: the file.
        format: "srt" or "vtt".

    Raises:
        ValueError: a line that looks like times and cannot be read as such.

    Example:
        >>> cue = "1\\n00:00:01,000 --> 00:00:02,000\\nGood\\nday.\\n"
        >>> [block.text for block in subtitle_blocks(cue, "srt")]
        ['Good day.']
    """
    lines = [
        _Line(found[0].rstrip("\r\n"), found.start(), found.start() + len(found[0].rstrip("\r\n")))
        for found in _LINE.finditer(document)
    ]
    for number, line in enumerate(lines, 1):
        if _LIKE_TIMES.match(line.text) and not _TIMES.match(line.text):
            raise ValueError(
                f"line {number}, {line.text.strip()!r}, looks like the times of a subtitle; "
                "expected e.g. 00:00:01,000 --> 00:00:04,000"
            )
    blocks = []
    for first, last in _cues(lines, format):
        for paragraph in _paragraphs(lines[first:last]):
            block = _block(document, paragraph, format)
            if block.text.strip():
                blocks.append(block)
    return blocks


def _cues(lines: Sequence[_Line], format: str) -> list[tuple[int, int]]:
    """Returns the first line of text of each cue, and the one after its last."""
    times = [i for i, line in enumerate(lines) if _TIMES.match(line.text)]
    cues = []
    for number, at in enumerate(times):
        end = times[number + 1] if number + 1 < len(times) else len(lines)
        blank = next((i for i in range(at + 1, end) if not lines[i].text.strip()), end)
        if format == "vtt":
            end = blank
        elif number + 1 < len(times):
            # The number of the next cue ends this one; empty lines may be part of a text, and may
            # follow a number.
            last = next((i for i in range(end - 1, at, -1) if lines[i].text.strip()), at)
            if last > at and lines[last].text.strip().isdecimal():
                end = last
        cues.append((at + 1, end))
    return cues


def _paragraphs(lines: Sequence[_Line]) -> list[list[_Line]]:
    """Returns the lines of a cue that may hold one sentence."""
    paragraphs: list[list[_Line]] = [[]]
    for line in lines:
        text = line.text.strip()
        if not text or _dash_length(line.text):
            paragraphs.append([])
        if text and not paragraphs[-1]:
            line = line._replace(start=line.start + _dash_length(line.text))
        if text:
            paragraphs[-1].append(line)
    return [paragraph for paragraph in paragraphs if paragraph]


def _dash_length(text: str) -> int:
    """Returns the length of the dash of a speaker, with all before it; 0 without one."""
    tags = _TAGS.match(text)
    inner = text[tags.end() if tags else 0 :].lstrip()
    dash = next((dash for dash in _SPEAKER_DASHES if inner.startswith(dash)), "")
    rest = inner.removeprefix(dash)
    if not dash or not rest.strip() or rest[0].isdecimal():  # -5 is a number
        return 0
    return len(text) - len(rest.lstrip())


def _block(document: str, lines: Sequence[_Line], format: Literal["srt", "vtt"]) -> Block:
    text: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    marks: list[Mark] = []
    at = 0
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        # A tag may have begun in the line before.
        at = max(at, line.start)
        while at < line.end:
            end = _tag_end(document, at, line.end, format)
            if not end and (broken := _BROKEN_TAG.match(document, at, lines[-1].end)):
                end = broken.end()
            if end:
                kind, name = _tag(document[at:end])
                marks.append(Mark(kind, len(text), len(text), at, end, name))
            else:
                end = _entity_end(document, at, line.end) if format == "vtt" else at + 1
                for i, character in enumerate(html.unescape(document[at:end])):
                    text.append(character)
                    starts.append(at if i == 0 else end)
                    ends.append(end)
            at = end
        if following is not None and at <= line.end:
            text.append(" ")
            starts.append(line.end)
            ends.append(following.start)
    escapes: Mapping[str, str] = _VTT_ESCAPES if format == "vtt" else {}
    return Block("".join(text), starts, ends, marks, escapes, wraps=True)


def _tag_end(document: str, at: int, line_end: int, format: str) -> int:
    """Returns the end of the tag that begins at a character; 0 where none does."""
    if document.startswith("{\\", at):  # `{\an8}`, of SubStation Alpha
        return document.find("}", at, line_end) + 1
    if document[at] != "<":
        return 0
    following = document[at + 1 : at + 3].removeprefix("/")[:1]
    if format == "srt" and not (following.isascii() and following.isalpha()):
        return 0
    return document.find(">", at, line_end) + 1


def _entity_end(document: str, at: int, line_end: int) -> int:
    """Returns the end of the entity, or else the character, that begins at a place."""
    if document[at] == "&":
        end = document.find(";", at, min(line_end, at + 12)) + 1
        if end and html.unescape(document[at:end]) != document[at:end]:
            return end
    return at + 1


def _tag(written: str) -> tuple[Literal["open", "close", "point"], str]:
    """Returns the kind and the name of a tag."""
    inner = written.strip("<>{}").strip()
    name = re.split(r"[\s./]", inner.removeprefix("/"))[0].lower()
    # `<00:00:01.000>` and `{\an8}` have no end.
    if written.startswith("{") or not name or not name[0].isalpha() or inner.endswith("/"):
        return "point", name
    return ("close" if inner.startswith("/") else "open"), name
