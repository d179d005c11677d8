"""Splits HTML into tokens that together are the source, character by character.

The tokenizer is that of Python's standard library. It tells where each token begins; a token is
the source up to the next one, so that tags, attributes and entities are kept as they are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any, Literal, NamedTuple


class HtmlToken(NamedTuple):
    """A token of an HTML document.

    Attributes:
        kind: "data" is text without entities; "entity" a character reference; "start", "end" and
            "void" (which closes itself) are tags; "other" a comment, a declaration and the like.
        start, end: its place in the source.
        name: of a tag, in lower case.
        attributes: of a tag, with entities decoded; names in lower case.
    """

    kind: Literal["data", "entity", "start", "end", "void", "other"]
    start: int
    end: int
    name: str = ""
    attributes: Sequence[tuple[str, str | None]] = ()


def html_tokens(document: str) -> list[HtmlToken]:
    """Returns the tokens of an HTML document or fragment; none is left out.

    Args:
        document: HTML; what is not well-formed is read as leniently as the parser does.

    Example:
        >>> [(token.kind, token.name) for token in html_tokens("<p>a &amp; b</p>")]
        [('start', 'p'), ('data', ''), ('entity', ''), ('data', ''), ('end', 'p')]
    """
    reader = _Reader(document)
    reader.feed(document)
    reader.close()
    found = reader.found
    ends = [*(token.start for token in found[1:]), len(document)][: len(found)]
    tokens: list[HtmlToken] = []
    if found and found[0].start > 0:
        tokens.append(HtmlToken("other", 0, found[0].start))
    elif not found and document:
        tokens.append(HtmlToken("other", 0, len(document)))
    for token, end in zip(found, ends, strict=True):
        tokens.append(token._replace(end=min(token.end, end) if token.end >= 0 else end))
        # What the parser passed over, such as `</>`.
        if tokens[-1].end < end:
            tokens.append(HtmlToken("other", tokens[-1].end, end))
    return [token for token in tokens if token.end > token.start]


class _Reader(HTMLParser):
    """Collects tokens with their places; an end of -1 is where the next token begins."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=False)
        self.document = document
        self.found: list[HtmlToken] = []
        # Where each line begins: the parser counts lines, and characters within them.
        self._lines = [0, *(i + 1 for i, c in enumerate(document) if c == "\n")]

    def _add(self, kind: Any, name: str = "", attributes: Any = (), length: int = -1) -> None:
        line, column = self.getpos()
        start = self._lines[line - 1] + column
        end = -1 if length < 0 else start + length
        self.found.append(HtmlToken(kind, start, end, name, tuple(attributes)))

    def handle_data(self, data: str) -> None:
        self._add("data", length=len(data))

    def handle_charref(self, name: str) -> None:
        self._entity(f"&#{name}")

    def handle_entityref(self, name: str) -> None:
        self._entity(f"&{name}")

    def _entity(self, written: str) -> None:
        line, column = self.getpos()
        end = self._lines[line - 1] + column + len(written)
        closed = self.document[end : end + 1] == ";"
        self._add("entity", length=len(written) + closed)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._add("start", tag, attrs, len(self.get_starttag_text() or ""))

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self._add("void", tag, attrs, len(self.get_starttag_text() or ""))

    def handle_endtag(self, tag: str) -> None:
        self._add("end", tag)

    def handle_comment(self, data: str) -> None:
        self._add("other")

    def handle_decl(self, decl: str) -> None:
        self._add("other")

    def handle_pi(self, data: str) -> None:
        self._add("other")

    def unknown_decl(self, data: str) -> None:
        self._add("other")

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        """Reads `<![...]>` as a comment, as browsers do; the base class fails on unknown ones."""
        return self.parse_bogus_comment(i)
