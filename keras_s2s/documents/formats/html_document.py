"""Reads HTML as blocks: runs of text with the inline elements inside of them."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from keras_s2s.documents.formats.blocks import Block, Mark
from keras_s2s.documents.formats.html_elements import VOID, ElementEnds, element_ends
from keras_s2s.documents.formats.html_tokens import HtmlToken, html_tokens

_BREAKING_NAMES = """
    address area article aside audio base blockquote body br button canvas caption center col
    colgroup dd details dialog dir div dl dt embed fieldset figcaption figure footer form
    frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html iframe input legend li link
    main map menu meta nav noframes noscript object ol optgroup option p param pre search
    section select source summary table tbody td template tfoot th thead title tr track ul
    video
    """

#: Text before, inside and after these is apart; all other elements stand inside of sentences.
BREAKING = frozenset(_BREAKING_NAMES.split())
#: Their text stays as it is, and is part of the sentence around them.
QUOTED = frozenset(["code", "kbd", "samp"])
#: Their content stays as it is, and is no part of a sentence.
OPAQUE = frozenset(["math", "pre", "script", "style", "svg", "template", "textarea"])
#: What HTML has to escape in text, and a space that would not be seen.
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\u00a0": "&nbsp;"}
#: White space that a browser shows as one space; others are characters.
_COLLAPSED = frozenset(" \t\n\r\f")


def html_blocks(document: str) -> list[Block]:
    """Returns the texts of an HTML document, as blocks.

    Script, style, pre, textarea and the like, everything with `translate="no"`, and attributes are
    no part of them.

    Args:
        document: HTML.

    Example:
        >>> [block.text for block in html_blocks("<p>A <b>big</b>\\n dog.</p><pre>x</pre>&lt;")]
        ['A big dog.', '<']
    """
    tokens = html_tokens(document)
    ends = element_ends(document, tokens)
    reader = _BlockReader(document)
    at = 0
    while at < len(tokens):
        token = tokens[at]
        after = at + 1
        if token.kind in ("data", "entity"):
            reader.add_text(token)
        elif _stays(token):
            after = _end_of(tokens, ends, at)
            reader.add_kept(tokens[at:after])
        elif token.name in BREAKING:
            reader.close_block()
        else:
            reader.add_mark(token)
        at = after
    reader.close_block()
    return reader.blocks


def _stays(token: HtmlToken) -> bool:
    """Returns whether an element begins whose content stays as it is."""
    if token.kind != "start" or token.name in VOID:
        return False
    return _is_refused(token) or token.name in QUOTED or token.name in OPAQUE


def _is_refused(token: HtmlToken) -> bool:
    translate = dict(token.attributes).get("translate")
    return translate is not None and translate.strip().lower() == "no"


def _end_of(tokens: Sequence[HtmlToken], ends: Mapping[int, ElementEnds], at: int) -> int:
    """Returns the number of the first token after an element that stays as it is."""
    # Of `code` without an end tag the block is the end: what follows is hardly all code.
    after = ends[at].element
    while at < after:
        # Also of those inside, which may go on after it.
        if at in ends and _is_refused(tokens[at]):
            after = max(after, ends[at].formatting)
        at += 1
    return after


class _BlockReader:
    """Collects characters and marks until a block ends.

    Attributes:
        blocks: those that have text.
    """

    def __init__(self, document: str) -> None:
        self.blocks: list[Block] = []
        self._document = document
        self._clear()

    def _clear(self) -> None:
        self._text: list[str] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._marks: list[Mark] = []

    def close_block(self) -> None:
        """Ends a block."""
        text = "".join(self._text)
        if text.strip():
            self.blocks.append(Block(text, self._starts, self._ends, self._marks, _ESCAPES))
        self._clear()

    def add_text(self, token: HtmlToken) -> None:
        """Adds the characters of a text or an entity."""
        written = self._document[token.start : token.end]
        characters = html.unescape(written)
        # `AT&T` has no entity.
        if token.kind == "entity" and characters != written:
            for i, character in enumerate(characters):
                # Of an entity for two characters the first one has all that is written.
                self._add(character, token.start if i == 0 else token.end, token.end)
            return
        for place, character in enumerate(written, token.start):
            blank = character in _COLLAPSED
            if blank and self._text and self._text[-1] == " ":
                # Also behind a tag, as in browsers.
                if self._ends[-1] == place:
                    self._ends[-1] = place + 1
                continue
            self._add(" " if blank else character, place, place + 1)

    def _add(self, character: str, start: int, end: int) -> None:
        self._text.append(character)
        self._starts.append(start)
        self._ends.append(end)

    def add_mark(self, token: HtmlToken) -> None:
        """Adds a tag, a comment or the like, inside of text."""
        at = len(self._text)
        kind = {"start": "open", "end": "close"}.get(token.kind, "point")
        if token.name in VOID:
            kind = "point"
        self._marks.append(Mark(kind, at, at, token.start, token.end, token.name))  # type: ignore[arg-type]

    def add_kept(self, tokens: Sequence[HtmlToken]) -> None:
        """Adds an element that stays as it is."""
        name = tokens[0].name
        if name in BREAKING:
            self.close_block()
            return
        at = len(self._text)
        if name not in OPAQUE:
            for token in tokens:
                if token.kind in ("data", "entity"):
                    self.add_text(token)
        start, end = tokens[0].start, tokens[-1].end
        if "".join(self._text[at:]).strip():
            self._strip(at)
            self._marks.append(Mark("kept", at, len(self._text), start, end, name))
            return
        self._cut(at, len(self._text))
        self._marks.append(Mark("point", at, at, start, end, name))

    def _strip(self, at: int) -> None:
        """Removes white space at both ends of the characters from a place on."""
        while self._text[-1].isspace():
            self._cut(len(self._text) - 1, len(self._text))
        while self._text[at].isspace():
            self._cut(at, at + 1)

    def _cut(self, start: int, end: int) -> None:
        del self._text[start:end], self._starts[start:end], self._ends[start:end]
