"""Where HTML's elements end without their end tags: html5lib builds the tree to compare with."""

from __future__ import annotations

import re
import time

import pytest
from documents.fake_models import FunctionModel
from hypothesis import example, given
from hypothesis import strategies as st

import keras_s2s as s2s
from keras_s2s.documents.formats.html_document import html_blocks

NO = " translate=no"


def read(document: str) -> set[str]:
    """Returns the words of a document that are given to a model."""
    found: set[str] = set()
    for block in html_blocks(document):
        text = block.text
        for mark in block.marks:
            if mark.kind == "kept":
                hidden = " " * (mark.end - mark.offset)
                text = text[: mark.offset] + hidden + text[mark.end :]
        found |= set(re.findall(r"w\d+", text))
    return found


def in_tree(document: str) -> set[str]:
    """Returns the words of a document with no ancestor that says `translate="no"`."""
    html5lib = pytest.importorskip("html5lib")
    tree = html5lib.parse(
        "<!DOCTYPE html>" + document, treebuilder="etree", namespaceHTMLElements=False
    )
    found: set[str] = set()

    def visit(element, translated: bool) -> None:
        translated = translated and element.get("translate") != "no"
        for text, inside in ((element.text, translated), *((e.tail, translated) for e in element)):
            if inside and isinstance(element.tag, str):
                found.update(re.findall(r"w\d+", text or ""))
        for child in element:
            if isinstance(child.tag, str):
                visit(child, translated)

    visit(tree, True)
    return found


def numbered(document: str) -> str:
    """Returns a document in which each `w` has a number of its own, and stands alone."""
    count = iter(range(10**6))
    return re.sub(r"\bw\b", lambda _: f"w{next(count)}", document)


# --------------------------------------------------------------------------------------
# Documents as HTML allows them: each element within a parent that may hold it, and end tags that
# may be left out left out
# --------------------------------------------------------------------------------------

#: What may be inside of an element; names in capitals are groups.
CONTENT = {
    "FLOW": "p div ul dl table h2 TEXT TEXT section blockquote",
    "PHRASING": "TEXT span b em a ruby select TEXT",
    **dict.fromkeys(["div", "li", "dd", "td", "th", "section", "blockquote", "caption"], "FLOW"),
    **dict.fromkeys(["p", "h2", "span", "b", "em", "dt"], "PHRASING"),
    **dict.fromkeys(["a", "rt", "rp", "option"], "TEXT"),
    "ul": "li",
    "dl": "dt dd",
    "ruby": "TEXT rt rp",
    "select": "option optgroup",
    "optgroup": "option",
    "table": "tbody caption thead tfoot",
    **dict.fromkeys(["tbody", "thead", "tfoot"], "tr"),
    "tr": "td th",
}
ENDS_LEFT_OUT = "p li dt dd rt rp option optgroup tbody thead tfoot tr td th caption"
MAY_LACK_END = frozenset(ENDS_LEFT_OUT.split())


@st.composite
def elements(draw: st.DrawFn, name: str = "FLOW", depth: int = 5, alone: bool = False) -> str:
    if name == "TEXT" or depth == 0:
        # Only where text may stand: HTML moves it out of a table.
        can_hold = {"TEXT", "FLOW", "PHRASING"} & {name, *CONTENT.get(name, "").split()}
        return " w " if can_hold else ""
    kinds = CONTENT[name].split()
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3))
    parts = []
    for kind in chosen:
        inner = draw(elements(kind, depth - 1))
        if kind.isupper():
            parts.append(inner)
            continue
        mark = NO if draw(st.integers(0, 3)) == 0 else ""
        end = "" if kind in MAY_LACK_END and draw(st.booleans()) else f"</{kind}>"
        parts.append(f"<{kind}{mark}>{inner}{end}")
    return "".join(parts)


@given(elements().map(numbered))
@example("<p translate=no>w0<p>w1")
@example("<div><p translate=no>w0</div>w1")
@example("<ul><li translate=no>w0<li>w1</ul>w2")
@example("<ul><li translate=no>w0<ul><li>w1</ul>w2<li>w3</ul>")
@example("<dl><dt translate=no>w0<dd>w1<dt>w2</dl>w3")
@example("<table><tr><td translate=no>w0<td>w1<tr><td>w2</table>w3")
@example("<table><tr translate=no><td>w0<td>w1<tr><td>w2</table>w3")
@example("<table><thead translate=no><tr><td>w0<tbody><tr><td>w1</table>w2")
@example("<table><caption translate=no>w0<tr><td>w1</table>w2")
@example("<table><tr><td translate=no>w0<table><tr><td>w1</table>w2<td>w3</table>w4")
@example("<select><option translate=no>w0<option>w1<optgroup><option>w2</select>w3")
@example("<ruby>w0<rt translate=no>w1<rt>w2</ruby>w3")
@example("<head translate=no><title>w0</title><p>w1")
@example("<body translate=no>w0</body>w1")
@example("<p translate=no>w0<button>w1</button>w2")
@example("<p translate=no>w0<b>w1<p>w2")
@example("<svg translate=no><text>w0</text><p>w1")
def test_what_html_lets_one_leave_out_ends(document: str) -> None:
    assert read(document) == in_tree(document)


# --------------------------------------------------------------------------------------
# Tags in any order
# --------------------------------------------------------------------------------------

SOUP_NAMES = """
    p div span b i a ul ol li dl dt dd h1 h3 button section blockquote em center form ruby rt rp
    object font nobr hr br img address
    """
SOUP = st.lists(
    st.tuples(
        st.sampled_from(SOUP_NAMES.split()),
        st.sampled_from(["<{}>", "<{} translate=no>", "</{}>", "</{}>"]),
    ).map(lambda found: found[1].format(found[0]) + " w "),
    min_size=1,
    max_size=12,
).map(lambda parts: numbered("w " + "".join(parts)))


@given(SOUP)
@example("<b translate=no>w0<p>w1</b>w2</p>w3")
@example("<p><b translate=no>w0</p>w1</b>w2")
@example("<b>w0<span translate=no>w1<p>w2</b>w3</p>w4")
@example("<span translate=no>w0<div>w1</span>w2</div>w3")
@example("<a translate=no>w0<a>w1</a>w2")
@example("<object translate=no>w0</div>w1</object>w2")
def test_tags_in_any_order(document: str) -> None:
    assert read(document) == in_tree(document)


def test_code_without_an_end_ends_with_its_block() -> None:
    result = s2s.generate_document(
        FunctionModel(str.upper), "<p>Use <code>x.</p><p>Then go.</p>", format="html"
    )
    assert result.text == "<p>USE <code>x.</p><p>THEN GO.</p>"


@pytest.mark.parametrize(
    "document",
    [
        "<p><button>" + "<b>" * 8_000 + "</p>" * 8_000,
        "<i><object>" + "<b>" * 8_000 + "</i>" * 8_000,
        "<div>" * 8_000 + "<li>" * 8_000,
        "<span>" * 8_000 + "</div>" * 8_000,
    ],
)
def test_time_grows_with_the_length(document: str) -> None:
    began = time.monotonic()
    html_blocks(document)
    assert time.monotonic() - began < 10
