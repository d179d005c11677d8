"""HTML: tags, attributes and entities stay, and inline elements follow their words."""

from __future__ import annotations

import re

import lxml.html
import pytest
from documents.fake_models import FunctionModel, words_attend
from hypothesis import example, given
from hypothesis import strategies as st

import keras_s2s as s2s
from keras_s2s.documents.formats.html_document import html_blocks
from keras_s2s.documents.formats.html_tokens import html_tokens

WORDS = st.sampled_from(
    ["one", "two.", "Three!", "四。", "five,", "&amp;", "&eacute;t", "AT&T", "&#65;"]
)
SPACES = st.sampled_from([" ", "\n  ", "", "&nbsp;"])
RUN = st.lists(st.tuples(WORDS, SPACES), max_size=4).map(lambda found: "".join(map("".join, found)))
LEAVES = RUN | st.sampled_from(["<br>", "<img src='a>b'>", "<!-- c. D. -->", "<code>x. Y</code>"])


def _inside(content: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    name = st.sampled_from(["b", "i", "a href='x?a&b=1'", "span class=c", "em"])
    return st.tuples(name, st.lists(content, max_size=3).map("".join)).map(
        lambda found: f"<{found[0]}>{found[1]}</{found[0].split()[0]}>"
    )


INLINE = st.lists(st.recursive(LEAVES, _inside, max_leaves=6), max_size=5).map("".join)
PAGES = st.lists(INLINE.map(lambda text: f"<p>{text}</p>\n"), max_size=3).map("".join)
BROKEN = """
    <b> </b> <i> </i> <p> </p> < > </ <! <![x & <script>a.<b> </script> <pre> </pre> <b ' <?x <!--
    <br/> <b/> <textarea> </> --> <p_translate=no> <i_translate='No'>
    """
SOUP = st.lists(
    RUN
    | st.sampled_from(BROKEN.split()).map(lambda text: text.replace("_", " "))
    | st.text(max_size=3),
    max_size=14,
).map("".join)
MIRROR = words_attend(lambda word, count: max(count - 1 - word, 0))


def mirrored(text: str) -> str:
    return " ".join(reversed(text.split()))


def tags(document: str) -> list[str]:
    return sorted(re.findall(r"<[^<>]*(?:'[^']*'[^<>]*)?>", document))


def words(document: str) -> list[str]:
    text = lxml.html.fromstring(f"<div>{document}</div>").text_content()
    return sorted(re.sub(r"\s", "", text).lower())


@given(SOUP | PAGES)
@example("<![if x]>a. b<![endif]>")
@example("<p translate=no>a<p>b")
@example("0<i translate='No'> one </i>b")
def test_a_copy_gives_the_document_back(document: str) -> None:
    assert s2s.generate_document(FunctionModel(), document, format="html").text == document


@given(SOUP | PAGES)
def test_tokens_are_the_whole_source(document: str) -> None:
    tokens = html_tokens(document)
    assert "".join(document[token.start : token.end] for token in tokens) == document


@given(PAGES, st.booleans())
@example("<p><b>two.</b>Three! <i>one</i></p>", True)
def test_no_tag_is_lost_doubled_or_out_of_balance(document: str, attends: bool) -> None:
    model = FunctionModel(mirrored, attention=MIRROR if attends else None)
    result = s2s.generate_document(model, document, format="html")
    assert tags(result.text) == tags(document)
    assert is_balanced(result.text)
    if "<code>" not in document:  # code takes the place of the words that stand for it
        assert words(result.text) == words(document)
    assert result.text.count("<code>x. Y</code>") == document.count("<code>x. Y</code>")


@given(SOUP, st.booleans())
@example("0<b>one</>", False)
@example("<b>one</b></>two", True)
def test_no_tag_of_a_broken_document_is_lost(document: str, attends: bool) -> None:
    model = FunctionModel(str.swapcase, attention=words_attend(lambda w, n: w) if attends else None)
    result = s2s.generate_document(model, document, format="html")

    def marked(text: str) -> list[str]:
        return sorted(
            text[t.start : t.end] for t in html_tokens(text) if t.kind in ("start", "end")
        )

    assert marked(result.text) == marked(document)


def is_balanced(document: str) -> bool:
    opened: list[str] = []
    for token in html_tokens(document):
        if token.kind == "start" and token.name not in ("br", "img"):
            opened.append(token.name)
        elif token.kind == "end" and (not opened or opened.pop() != token.name):
            return False
    return not opened


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<p>the <b>black</b> dog</p>", "<p>dog <b>black</b> the</p>"),
        ("<b>the</b> black <i>dog</i>", "<i>dog</i> black <b>the</b>"),
        ("the <b>black <i>dog</i> runs</b> away", "away <b>runs <i>dog</i> black</b> the"),
        ("<b>one two</b>", "<b>two one</b>"),
        ("<b>One two. Three</b>", "<b>two. One Three</b>"),
        ("a <a href='x?a&b'>b c</a> d", "d <a href='x?a&b'>c b</a> a"),
        ("a <code>x &lt; y</code> b", "b <code>x &lt; y</code> a"),
        ("one<br>two three", "one<br>three two"),
        ("a &amp; b", "b &amp; a"),
        ("a &nbsp; caf&eacute; é", "é café &nbsp; a"),
        ("<em>a</em>b c", "c <em>ab</em>"),
        ("a <img src=x> b", "b a <img src=x>"),
    ],
)
def test_elements_follow_their_words(source: str, expected: str) -> None:
    def reverse(text: str) -> str:
        return " ".join(reversed(text.split(" ")))

    model = FunctionModel(reverse, attention=MIRROR)
    if "&nbsp;" in source:
        model.attention = words_attend(lambda word, count: max(count - 1 - word, 0))
    assert s2s.generate_document(model, source, format="html").text == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<p>One <b>two</b> three.</p>", "<p>ONE <b>TWO</b> THREE.</p>"),
        ("<p>One<br>two <i>three.</i> Four", "<p>ONE<br>TWO <i>THREE.</i> FOUR"),
        ("a < b & c", "A &lt; B &amp; C"),
        ("<b>One. Two</b> three.", "<b>ONE. TWO</b> THREE."),
        ("one <b><i>two</b></i> three", "ONE <b><i>TWO </b></i>THREE"),
        ("One <b>two. Three", "ONE <b>TWO. THREE"),
        ("pre<code> X </code>post end", "PRE<code> X </code>POST END"),
        ("pre<code>x</code>post end", "PREXPOST <code>x</code> END"),
        ("one <!-- two. --> three", "ONE <!-- two. --> THREE"),
    ],
)
def test_without_attention_elements_keep_their_place(source: str, expected: str) -> None:
    result = s2s.generate_document(FunctionModel(str.upper), source, format="html")
    assert result.text == expected


@pytest.mark.parametrize(
    "kept",
    [
        "<script>if (a < b) x('<p>no</p>');</script>",
        "<style>p { color: red }</style>",
        "<pre>some <b>code</b></pre>",
        "<textarea>mine</textarea>",
        "<div translate='no'>keep <div>me</div> too</div>",
        "<svg><text>drawn</text></svg>",
        "<!-- a comment. With two. -->",
        "<img alt='a dog' title=\"one &amp; two\">",
        "<!DOCTYPE html>",
    ],
)
def test_what_stays_as_it_is(kept: str) -> None:
    model = FunctionModel(str.upper)
    result = s2s.generate_document(model, f"<p>one.</p>{kept}<p>two.</p>", format="html")
    assert result.text == f"<p>ONE.</p>{kept}<p>TWO.</p>"
    assert model.calls[0][0] == ["one.", "two."]


def test_code_is_read_with_its_sentence_and_stays() -> None:
    model = FunctionModel(str.upper)
    page = "<p>Call <code>fit(x). Then</code> or <span translate=no>Mr. X</span> now. Go.</p>"
    result = s2s.generate_document(model, page, format="html")
    assert model.calls[0][0] == ["Call fit(x). Then or Mr. X now.", "Go."]
    assert result.text == page.replace("Call", "CALL").replace("or", "OR").replace(
        "now", "NOW"
    ).replace("Go", "GO")


def test_a_sentence_says_where_it_stands_with_its_markup() -> None:
    page = "<p>One. <i>Two</i> &amp; three.</p>"
    result = s2s.generate_document(FunctionModel(str.upper), page, format="html")
    second = result.sentences[1]
    assert second.source == "Two & three."
    assert page[second.source_start : second.source_end] == "<i>Two</i> &amp; three."
    assert result.text[second.start : second.end] == "<i>TWO</i> &amp; THREE."


def test_a_text_without_sentences_takes_no_time_without_bounds() -> None:
    page = "".join(f"<b>w{i}</b> x<img> " for i in range(1500))
    result = s2s.generate_document(FunctionModel(str.upper), page, format="html")
    assert tags(result.text) == tags(page) and is_balanced(result.text)
    assert result.sentences[0].text == result.sentences[0].source.upper()


def test_a_page_of_300_sentences_loses_none() -> None:
    body = "".join(
        f"<li><b>Number {i}</b> is a <a href='#{i}'>link</a>.\n"
        "  It has <em>more</em> &lt;text&gt;.</li>"
        for i in range(150)
    )
    model = FunctionModel(mirrored, attention=MIRROR)
    result = s2s.generate_document(model, f"<ul>{body}</ul>", format="html")
    assert len(result.sentences) == 300 and len(model.calls) == 1
    assert tags(result.text) == tags(body + "<ul></ul>") and is_balanced(result.text)
    assert words(result.text) == words(body)


def test_controls_of_a_form_are_texts_of_their_own() -> None:
    document = "<button>Save</button><button>Cancel</button><label>Name</label><input><b>Age</b>"
    assert [block.text for block in html_blocks(document)] == ["Save", "Cancel", "Name", "Age"]
