"""Where the elements of an HTML document end, by the rules of HTML for end tags that are left out.

A short form of the construction of the tree (https://html.spec.whatwg.org/multipage/parsing.html):
a stack of open elements, and the list of elements that format text, which go on where a block has
ended without their end tag. Text that HTML moves out of a table is not moved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from typing import NamedTuple

from keras_s2s.documents.formats.html_tokens import HtmlToken


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Have no content and no end tag.
VOID = _names("area base br col embed frame hr img input link meta param source track wbr")
#: Go on after the end of the block that they begin in, until their own end tag.
FORMATTING = _names("a b big code em font i nobr s small strike strong tt u")

_HEADINGS = _names("h1 h2 h3 h4 h5 h6")
#: A paragraph ends where one of these begins.
_AFTER_PARAGRAPHS = _HEADINGS | _names(
    """
    address article aside blockquote center dd details dialog dir div dl dt fieldset
    figcaption figure footer form header hgroup hr li listing main menu nav ol p plaintext
    pre search section summary table ul xmp
    """
)
#: Only the end tag of such an element, or of what is around it, ends it.
_SPECIAL = _AFTER_PARAGRAPHS | _names(
    """
    applet base body br button caption col colgroup embed frame frameset head html iframe
    img input keygen link marquee meta noembed noframes noscript object param script select
    source style tbody td template textarea tfoot th thead title tr track wbr
    """
)
#: No end tag inside of these ends what is around them.
_SCOPE = _names("applet caption html marquee object table td template th")
#: Text that is formatted inside of these does not go on after them.
_MARKERS = _names("applet caption marquee object td template th")
#: End where an annotation of a ruby text begins, and where a form ends.
_IMPLIED = _names("dd dt li optgroup option p rb rp rt rtc")
_IN_HEAD = _names(
    "base basefont bgsound head html link meta noframes noscript script style template title"
)
_FOREIGN = frozenset(["math", "svg"])
#: Hold HTML inside of drawings and formulas.
_INTEGRATION_POINTS = _names("desc foreignobject mi mn mo ms mtext title")
#: End a drawing or a formula.
_BREAKOUT = _names(
    """
    b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i
    img li listing menu meta nobr ol p pre ruby s small span strike strong sub sup table tt
    u ul var
    """
)
_CELLS = frozenset(["td", "th"])
_SECTIONS = frozenset(["tbody", "tfoot", "thead"])
#: The part of a table that begins: what has to be open around it.
_TABLE_CONTEXTS: dict[str, frozenset[str]] = {
    **dict.fromkeys(_CELLS, _SECTIONS | {"tr", "table"}),
    "tr": _SECTIONS | {"table"},
    "col": frozenset(["colgroup", "table"]),
    **dict.fromkeys([*_SECTIONS, "caption", "colgroup"], frozenset(["table"])),
}
#: What it ends where a fragment begins inside of a table.
_TABLE_PEERS: dict[str, frozenset[str]] = {
    **dict.fromkeys(_CELLS, _CELLS),
    "tr": _CELLS | {"tr"},
    "col": frozenset(["caption"]),
    **dict.fromkeys(
        [*_SECTIONS, "caption", "colgroup"],
        _CELLS | _SECTIONS | {"tr", "caption", "colgroup"},
    ),
}
#: Elements are looked for among so many open ones, as deep as browsers nest them: a document of
#: start tags alone is read in linear time.
_DEPTH = 512


class ElementEnds(NamedTuple):
    """Where an element ends, each the number of the first token behind it.

    Attributes:
        element: its own end, or that of what is around it.
        formatting: where what it formats ends, which for `b` may be after the block it began in.
    """

    element: int
    formatting: int


def element_ends(document: str, tokens: Sequence[HtmlToken]) -> dict[int, ElementEnds]:
    """Returns the ends of the elements of a document, by the number of their start tag.

    Args:
        document: HTML.
        tokens: of the document.

    Example:
        >>> from keras_s2s.documents.formats.html_tokens import html_tokens
        >>> for page in ("<p>a<p>b", "<i>a<p>b"):
        ...     print(element_ends(page, html_tokens(page))[0].element)
        2
        4
    """
    tree = _OpenElements()
    for number, token in enumerate(tokens):
        if token.kind == "start":
            tree.start(token.name, number)
        elif token.kind == "end":
            tree.end(token.name, number)
        elif token.kind in ("data", "entity") and document[token.start : token.end].strip():
            tree.leave_head(number)
    return tree.finish(len(tokens))


class _Open(NamedTuple):
    """An open element: the number of its start tag; a foreign one is of a drawing or a formula."""

    name: str
    number: int
    foreign: bool = False


class _OpenElements:
    """The elements that are open at a place of a document, and the ends of those before it."""

    def __init__(self) -> None:
        self._stack: list[_Open] = []
        self._counts: Counter[str] = Counter()
        # Elements that format text, and None where a cell or the like begins.
        self._active: list[_Open | None] = []
        self._ends: dict[int, int] = {}
        self._formatting_ends: dict[int, int] = {}

    def start(self, name: str, number: int) -> None:
        """Opens an element, and ends those that it ends."""
        if self._in_foreign() and name not in _BREAKOUT:
            self._push(_Open(name, number, foreign=True))
            return
        while self._in_foreign():
            self._pop(number)
        if name not in _IN_HEAD:
            self.leave_head(number)
        # There is one of these, with the attributes of both tags; forms are not nested.
        if name in ("html", "body", "form") and self._counts[name]:
            self._ends[number] = number + 1
            return
        self._make_room(name, number)
        if name in VOID:
            self._ends[number] = number + 1
            return
        self._push(_Open(name, number, foreign=name in _FOREIGN))
        if name in _MARKERS:
            self._active.append(None)
        elif name in FORMATTING:
            self._active.append(self._stack[-1])

    def end(self, name: str, number: int) -> None:
        """Ends an element, and what is open inside of it; a tag that ends nothing is ignored."""
        if self._in_foreign():
            for i in range(len(self._stack) - 1, -1, -1):
                if not self._stack[i].foreign:
                    break
                if self._stack[i].name == name:
                    self._pop_to(i, number, own=True)
                    return
        # What follows these is still inside of them.
        if name in ("body", "html"):
            return
        if name in FORMATTING:
            self._end_formatting(name, number)
            return
        names = _HEADINGS if name in _HEADINGS else frozenset([name])
        at = self._find(names, _end_barriers(name))
        if at is not None and name == "form":
            while self._end_last(_IMPLIED, number):
                pass
            # What is open inside of it stays open.
            self._counts[name] -= 1
            self._ends[self._stack.pop(at).number] = number + 1
        elif at is not None:
            self._pop_to(at, number, own=True)

    def leave_head(self, number: int) -> None:
        """Ends the head where the body begins without a tag."""
        if self._stack and self._stack[-1].name == "head":
            self._pop(number)

    def finish(self, count: int) -> dict[int, ElementEnds]:
        """Returns the ends of all elements; those that are still open end with the document.

        Args:
            count: of the document's tokens.
        """
        while self._stack:
            self._pop(count)
        return {
            number: ElementEnds(end, max(end, self._formatting_ends.get(number, end)))
            for number, end in self._ends.items()
        } | {
            each.number: ElementEnds(self._ends[each.number], count)
            for each in self._active
            if each is not None
        }

    # ----------------------------------------------------------------------------------
    # The stack
    # ----------------------------------------------------------------------------------

    def _in_foreign(self) -> bool:
        last = self._stack[-1] if self._stack else None
        return last is not None and last.foreign and last.name not in _INTEGRATION_POINTS

    def _push(self, element: _Open) -> None:
        self._stack.append(element)
        self._counts[element.name] += 1

    def _pop(self, end: int) -> None:
        element = self._stack.pop()
        self._counts[element.name] -= 1
        self._ends[element.number] = end
        if element.name in _MARKERS and not element.foreign:
            while self._active:
                formatting = self._active.pop()
                if formatting is None:
                    break
                self._formatting_ends[formatting.number] = end

    def _pop_to(self, at: int, number: int, *, own: bool = False) -> None:
        """Ends the elements from one on, before a tag, or with it where it is its own end tag."""
        while len(self._stack) > at + 1:
            self._pop(number)
        self._pop(number + 1 if own else number)

    def _find(self, names: frozenset[str], barriers: Container[str]) -> int | None:
        """Returns the place of the innermost of some elements, inside of the nearest barrier."""
        if not any(self._counts[name] for name in names):
            return None
        for i in range(len(self._stack) - 1, max(-1, len(self._stack) - 1 - _DEPTH), -1):
            if self._stack[i].name in names:
                return i
            if self._stack[i].name in barriers:
                return None
        return None

    def _make_room(self, name: str, number: int) -> None:
        """Ends what ends where an element begins."""
        if name == "li":
            self._end_nearest(frozenset(["li"]), _SPECIAL - {"address", "div", "p"}, number)
        elif name in ("dd", "dt"):
            self._end_nearest(frozenset(["dd", "dt"]), _SPECIAL - {"address", "div", "p"}, number)
        if name in _AFTER_PARAGRAPHS:
            self._end_nearest(frozenset(["p"]), _SCOPE | {"button"}, number)
        if name in _HEADINGS:
            self._end_last(_HEADINGS, number)
        elif name in ("button", "select"):
            self._end_nearest(frozenset([name]), _SCOPE, number)
        elif name in ("option", "optgroup", "hr"):
            self._end_last(frozenset(["option"]), number)
            if name != "option":
                self._end_last(frozenset(["optgroup"]), number)
        elif name in ("rb", "rp", "rt", "rtc") and self._counts["ruby"]:
            stays = frozenset(["rtc"]) if name in ("rp", "rt") else frozenset()
            while self._end_last(_IMPLIED - stays, number):
                pass
        elif name in ("a", "nobr"):
            self._end_formatting(name, number, own=False)
        elif name == "table":
            inside = _CELLS | {"caption", "template"}
            self._end_nearest(frozenset(["table"]), inside, number)
        elif name in _TABLE_CONTEXTS:
            self._begin_table_part(name, number)

    def _end_nearest(self, names: frozenset[str], barriers: Container[str], number: int) -> None:
        at = self._find(names, barriers)
        if at is not None:
            self._pop_to(at, number)

    def _end_last(self, names: frozenset[str], number: int) -> bool:
        """Ends the innermost element if it is one of some."""
        found = bool(self._stack) and self._stack[-1].name in names
        if found:
            self._pop(number)
        return found

    def _begin_table_part(self, name: str, number: int) -> None:
        at = self._find(_TABLE_CONTEXTS[name], frozenset(["template"]))
        if at is not None and self._find(frozenset(["table"]), frozenset(["template"])) is not None:
            while len(self._stack) > at + 1:
                self._pop(number)
            return
        while (at := self._find(_TABLE_PEERS[name], frozenset(["table", "template"]))) is not None:
            self._pop_to(at, number)

    def _end_formatting(self, name: str, number: int, *, own: bool = True) -> None:
        """Ends the last element of a name that formats text, wherever it began."""
        least = max(0, len(self._active) - _DEPTH)
        for i in range(len(self._active) - 1, least - 1, -1):
            element = self._active[i]
            if element is None or element.name == name:
                break
        else:
            element = None
        if element is None:
            at = self._find(frozenset([name]), _SPECIAL) if own else None
            if at is not None:
                self._pop_to(at, number, own=True)
            return
        open_at = self._find(frozenset([name]), frozenset())
        if open_at is not None and self._stack[open_at] == element:
            if self._find(frozenset([name]), _SCOPE) is None:
                return  # inside of a table that began after it
            self._take_out(open_at, number, own=own)
        del self._active[i]
        self._formatting_ends[element.number] = number + own

    def _take_out(self, at: int, number: int, *, own: bool) -> None:
        """Ends an element; blocks that are open inside of it stay open behind its end."""
        above = self._stack[at + 1 :]
        last = max((i for i, each in enumerate(above) if each.name in _SPECIAL), default=-1)
        while len(self._stack) > at + 1 + last + 1:
            self._pop(number)
        if last < 0:
            self._pop(number + own)
            return
        inside = self._stack[at + 1 :]
        element = self._stack[at]
        del self._stack[at:]
        self._counts[element.name] -= 1
        self._ends[element.number] = number + own
        for i, each in enumerate(inside):
            if each.name in _SPECIAL or each.name in FORMATTING:
                self._stack.append(each)
                continue
            # Not part of the block inside of it, which has left it.
            block = next(other for other in inside[i + 1 :] if other.name in _SPECIAL)
            self._counts[each.name] -= 1
            self._ends[each.number] = block.number


def _end_barriers(name: str) -> Container[str]:
    """Returns the elements that an end tag inside of them does not reach beyond."""
    if name in _TABLE_CONTEXTS or name == "table":
        return frozenset(["table", "template"]) - {name}
    if name == "template":
        return frozenset()
    if name == "p":
        return _SCOPE | {"button"}
    if name == "li":
        return _SCOPE | {"ol", "ul"}
    if name in _AFTER_PARAGRAPHS or name in _SCOPE or name in ("button", "select"):
        return _SCOPE
    return _SPECIAL
