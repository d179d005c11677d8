"""Sentences, clauses and languages."""

from __future__ import annotations

import builtins
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_s2s.documents.splitting.clauses import fitting_spans
from keras_s2s.documents.splitting.sentences import Span, sentence_language, sentence_spans
from keras_s2s.documents.words import word_spans


@given(st.text(st.sampled_from("ab. !?。\t 四5,\u0301😀'\"\u200d"), max_size=30))
def test_between_sentences_is_white_space(text: str) -> None:
    spans = sentence_spans(text, "en")
    covered = "".join(text[start:end] for start, end in spans)
    assert covered.replace(" ", "").replace("\t", "") == text.replace(" ", "").replace("\t", "")
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in spans)


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Dr. Ito is in. She waits.", ["Dr. Ito is in.", "She waits."]),
        ("de", "Er kam am 3. Mai an. Dann ging er.", ["Er kam am 3. Mai an.", "Dann ging er."]),
        ("zh", "你好。再见！", ["你好。", "再见！"]),
        ("ar", "كيف حالك؟ أنا بخير.", ["كيف حالك؟", "أنا بخير."]),
        ("hi", "यह अच्छा है। चलो।", ["यह अच्छा है।", "चलो।"]),
    ],
)
def test_languages_have_their_rules(language: str, text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text, language)] == expected


def test_a_splitter_that_changes_a_text_is_not_followed(monkeypatch) -> None:
    import sentencex

    monkeypatch.setattr(sentencex, "segment", lambda language, text: ["One. "])
    assert sentence_spans("One. Two.", "en") == [(0, 9)]


def test_the_extra_is_named(monkeypatch) -> None:
    real = builtins.__import__

    def without(name, *rest):
        if name == "sentencex":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "keras_s2s\[documents\]"'):
        sentence_spans("One.", "en")


def test_the_language_is_that_of_the_call_or_the_model() -> None:
    languages = SimpleNamespace(default_source="fra_Latn")
    model = SimpleNamespace(special_ids=SimpleNamespace(languages=languages))
    assert sentence_language(None, model) == "fr"
    assert sentence_language("__de__", model) == "de"
    declared = SimpleNamespace(options={"source_lang": "eng"})
    source = SimpleNamespace(files=SimpleNamespace(declared=lambda: declared))
    marian = SimpleNamespace(special_ids=SimpleNamespace(languages=None), source=source)
    assert sentence_language(None, marian) == "en"
    assert sentence_language("haw_Latn") == "haw"


def shorter(length: int):
    return lambda parts: [len(part) <= length for part in parts]


@pytest.mark.parametrize(
    ("text", "length", "expected"),
    [
        ("abc", 3, ["abc"]),
        ("If so, we stay; else we go.", 15, ["If so, we stay;", "else we go."]),
        ("It costs 1,000 dollars at 12:30", 20, ["It costs 1,000", "dollars at 12:30"]),
        ("天气很好，我们去散步吧。", 8, ["天气很好，", "我们去散步吧。"]),
        ("إذا هطل، نبقى؛ وإلا نذهب", 16, ["إذا هطل، نبقى؛", "وإلا نذهب"]),
        ("left—right", 6, ["left—", "right"]),
        ("one two", 5, ["one", "two"]),
        ("abcdef", 3, ["abc", "def"]),
        ("ae\u0301b", 3, ["a", "e\u0301b"]),
    ],
)
def test_where_a_long_sentence_is_split(text: str, length: int, expected: list[str]) -> None:
    (spans,) = fitting_spans([text], shorter(length))
    assert [text[start:end] for start, end in spans] == expected


@given(st.text(st.sampled_from("ab ,;，四\t"), min_size=1, max_size=40), st.integers(1, 9))
def test_parts_fit_and_are_the_text(text: str, length: int) -> None:
    text = f"a{text}b"
    (spans,) = fitting_spans([text], shorter(length))
    parts = [text[start:end] for start, end in spans]
    assert all(1 <= len(part) <= length and part == part.strip() for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_what_is_kept_is_split_last() -> None:
    text = "run a, b, c now"
    (spans,) = fitting_spans([text], shorter(9), [[Span(4, 11)]])
    assert [text[start:end] for start, end in spans] == ["run", "a, b, c", "now"]
    (spans,) = fitting_spans([text], shorter(5), [[Span(4, 11)]])
    assert [text[start:end] for start, end in spans] == ["run", "a,", "b, c", "now"]


def test_a_character_that_is_too_long() -> None:
    with pytest.raises(ValueError, match="no room for 'a'"):
        fitting_spans(["abc"], lambda parts: [False] * len(parts))


@given(st.text(max_size=20))
def test_words_are_all_but_white_space(text: str) -> None:
    spans = word_spans(text)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    covered = {i for start, end in spans for i in range(start, end)}
    assert covered == {i for i, character in enumerate(text) if not character.isspace()}
