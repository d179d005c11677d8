"""Subtitles: times, numbers, settings and blocks that are no cues stay as they are."""

from __future__ import annotations

import textwrap

import pytest
from documents.fake_models import FunctionModel
from hypothesis import given
from hypothesis import strategies as st

import keras_s2s as s2s
from keras_s2s.documents.formats.subtitles import subtitle_blocks
from keras_s2s.documents.line_wrapping import line_breaks

SRT = """1
00:00:01,000 --> 00:00:04,000 X1:10 X2:20
<i>Hello there, my dear
old friend.</i> Sit down.

2
00:00:05,000 --> 00:00:06,500
- Who is it?
- {\\an8}Me & you < all.

3
00:00:07,000 --> 00:00:08,000
After a

blank line.
"""
VTT = """WEBVTT - a title
Language: en

STYLE
::cue(b) { color: red }

NOTE a note. With two.

REGION
id:fred

first cue
00:01.000 --> 00:04.000 align:start position:10%
<v Bob Smith>Hello &amp; <c.red>good day</c>.</v>

00:00:05.000 --> 00:00:06.000
Sing <00:05.500>along &lt;now

NOTE
another
"""
LINES = st.sampled_from(
    [
        *("", " ", "7", "Hello there.", "- Hi. You?", "<i>one", "two</i>", "NOTE x", "STYLE", "♪"),
        *("00:00:01,000 --> 00:00:04,000", "00:01.000 --> 00:04.000 line:0", "a --> b"),
        *("{\\an8}四。", "&amp; &x; <", "<font", "color='x'>- one", "<i>- Hi.", "</i", ">"),
    ]
)


@given(st.lists(LINES | st.text(max_size=3), max_size=14), st.sampled_from(["\n", "\r\n", "\r"]))
@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_a_copy_gives_the_file_back(format: str, lines: list[str], line_break: str) -> None:
    for document in (line_break.join(lines), line_break.join(["WEBVTT", "", *lines, ""])):
        assert s2s.generate_document(FunctionModel(), document, format=format).text == document


def test_srt() -> None:
    model = FunctionModel(lambda text: text.upper())
    result = s2s.generate_document(model, SRT, format="srt")
    assert model.calls[0][0] == [
        "Hello there, my dear old friend.",
        "Sit down.",
        "Who is it?",
        "Me & you < all.",
        "After a",
        "blank line.",
    ]
    expected = SRT.replace("Hello there, my dear\nold friend", "HELLO THERE, MY\nDEAR OLD FRIEND")
    for text in ("Sit down", "Who is it", "Me & you < all", "After a", "blank line"):
        expected = expected.replace(text, text.upper())
    assert result.text == expected


def test_vtt() -> None:
    model = FunctionModel(lambda text: text.upper().replace(".", "<"))
    result = s2s.generate_document(model, VTT, format="vtt")
    assert model.calls[0][0] == ["Hello & good day.", "Sing along <now"]
    expected = VTT.replace(
        "Hello &amp; <c.red>good day</c>.</v>",
        "HELLO &amp; <c.red>GOOD DAY</c>&lt;</v>",
    ).replace("Sing <00:05.500>along &lt;now", "SING <00:05.500>ALONG &lt;NOW")
    assert result.text == expected


def test_line_breaks_of_windows_stay() -> None:
    text = SRT.replace("\n", "\r\n")
    result = s2s.generate_document(FunctionModel(str.upper), text, format="srt").text
    assert result.count("\r\n") == result.count("\n") == SRT.count("\n")


@given(
    st.lists(st.text("abc", min_size=1, max_size=8), min_size=1, max_size=12).map(" ".join),
    st.integers(1, 4),
    st.integers(5, 40),
)
def test_lines_are_no_more_than_there_were(text: str, most: int, width: int) -> None:
    breaks = line_breaks(text, most, width)
    assert len(breaks) < most
    assert all(text[start:end] == " " for start, end in breaks)
    starts, ends = [0, *(end for _, end in breaks)], [*(start for start, _ in breaks), len(text)]
    lines = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    if max(map(len, lines)) > width:
        whole_words = {"break_long_words": False, "break_on_hyphens": False}
        filled = textwrap.wrap(text, width, **whole_words)
        assert len(filled) > most or max(map(len, filled)) > width


def test_lines_without_spaces() -> None:
    text = "今天天气很好，我们去公园散步吧。"
    ((start, end),) = line_breaks(text, 2, 9)
    assert 7 <= start == end <= 9 and text[start] != "，"
    assert line_breaks(text, 1, 9) == [] and line_breaks("ab", 3, 1) == []


@pytest.mark.parametrize(
    "times",
    [
        "00:00:03 --> 00:00:04",
        "00:00:03:000 --> 00:00:04:500",
        "00:00:03, 000 --> 00:00:04, 500",
        "0:03.5 --> 0:04.5",
        "00:00:03,000-->00:00:04,000",
        "00:00:03,0000 --> 00:00:04,0000;",
        "00:00:03,000 --> 00:00:04,000 X1:40 X2:600",
    ],
)
@pytest.mark.parametrize("blank", ["", "\n"])
def test_times_as_programs_write_them(times: str, blank: str) -> None:
    document = f"1\n{blank}{times}\nFirst cue.\n\n2\n{blank}{times}\nSecond cue.\n"
    assert [b.text for b in subtitle_blocks(document, "srt")] == ["First cue.", "Second cue."]


@pytest.mark.parametrize(
    "times", ["00:00:03 --> later", "00;00;03 --> 00;00;04", "0:03.5 -> 0:04.5"]
)
def test_times_that_cannot_be_read_are_refused(times: str) -> None:
    document = f"1\n00:00:01,000 --> 00:00:02,000\nFirst cue.\n\n2\n{times}\nSecond cue.\n"
    with pytest.raises(ValueError, match=r"line 6, .* looks like the times of a subtitle"):
        subtitle_blocks(document, "srt")


def test_arrows_of_a_text() -> None:
    cue = "1\n00:00:01,000 --> 00:00:02,000\nSeoul --> Busan at 9 -> 10.\n9:30 -> 10:15\n3 --> 4\n"
    assert len(subtitle_blocks(cue, "srt")) == 1


@pytest.mark.parametrize(
    ("cue", "texts"),
    [
        ("<i>two\nlines</i>", ["TWO LINES"]),
        ("<font\ncolor='red'>two</font>", ["TWO"]),
        ('<font color="red"\n>two</font\n> lines', ["TWO", "LINES"]),
        ("<font\r\nface=Arial\r\ncolor=red>two</font>", ["TWO"]),
        ("<v Bob\nSmith>hello</v>", ["HELLO"]),
    ],
)
@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_tags_broken_over_lines(format: str, cue: str, texts: list[str]) -> None:
    head = "WEBVTT\n\n" if format == "vtt" else "1\n"
    document = f"{head}00:00:01.000 --> 00:00:02.000\n{cue}\n"
    (block,) = subtitle_blocks(document, format)
    assert block.text.upper() == " ".join(texts)
    result = s2s.generate_document(FunctionModel(str.upper), document, format=format).text
    # Tags and their line breaks stay as they are.
    expected = document
    for text in texts:
        words = text.lower().split()
        expected = expected.replace("\n".join(words), "\n".join(words).upper())
        expected = expected.replace(f"{words[0]}</", f"{words[0].upper()}</")
    assert result == expected.replace(" lines", " LINES")


@pytest.mark.parametrize("cue", ["a <b and\nc> d", "I <3\nyou> me", "x <\n> y", "<b\nc"])
def test_less_and_greater_of_a_text_are_no_tag(cue: str) -> None:
    (block,) = subtitle_blocks(f"1\n00:00:01,000 --> 00:00:02,000\n{cue}\n", "srt")
    assert block.text == cue.replace("\n", " ") and not block.marks


@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_dashes_of_speakers_behind_tags(format: str) -> None:
    head = "WEBVTT\n\n" if format == "vtt" else "1\n"
    lines = "<i>- Who is it?</i>\n<i>- Me.</i>\n{\\an8}<i>– You?\nAll of you?</i>\n<b>-5 here.</b>"
    document = f"{head}00:00:01.000 --> 00:00:02.000\n{lines}\n"
    model = FunctionModel(str.upper)
    result = s2s.generate_document(model, document, format=format).text
    assert model.calls[0][0] == ["Who is it?", "Me.", "You?", "All of you?", "-5 here."]
    assert result.upper() == document.upper() and result.count("<i>") == 3
