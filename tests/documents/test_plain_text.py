"""Plain text: every character that is no part of a sentence comes back as it was."""

from __future__ import annotations

import logging

import pytest
from documents.fake_models import FunctionModel
from hypothesis import example, given
from hypothesis import strategies as st

import keras_s2s as s2s

WORDS = [
    *("One.", "Two, three; four!", "Dr. Ito", "e.g. this", "你好。", "再见！", "안녕하세요. ", "x"),
    *("مرحبا؟ نعم.", "ไทย", "...", "* * *", '"Hi."', "(a.)", "1,000.5", "😀", "é", "e\u0301"),
]
SPACES = [
    *(" ", "  ", "\t", "\n", "\r\n", "\r", "\n\n\n"),
    *("\u00a0", "\u3000", "\u2028", "\x0b", "\x85", "\u200b", "\u00ad"),
]
PIECES = st.sampled_from([*WORDS, *SPACES])
DOCUMENTS = st.lists(PIECES | st.text(max_size=4), max_size=25).map("".join)
LANGUAGES = st.sampled_from([None, "en", "de_DE", "jpn_Jpan", ">>cmn_Hans<<", "zz"])


@given(DOCUMENTS, LANGUAGES)
@example("", None)
@example(" \r\n\t\n ", None)
@example("\ufeffOne. Two.\r\n\r\n  Three", "en")
@example("no end", "en")
def test_a_copy_gives_the_document_back(document: str, language: str | None) -> None:
    model = FunctionModel()
    result = s2s.generate_document(model, document, src_lang=language)
    assert str(result) == result.text == document
    assert len(model.calls) <= 1


@given(DOCUMENTS, st.integers(3, 12))
def test_no_character_is_lost_where_sentences_are_split(document: str, limit: int) -> None:
    # A base and the marks on it stay together, so that some sentences have no place to split.
    model = FunctionModel(max_source_length=limit)
    try:
        result = s2s.generate_document(model, document)
    except ValueError as error:
        assert "no room for" in str(error)
        return
    assert result.text == document
    for sentence in result.sentences:
        assert sentence.was_split == (len(sentence.source) >= limit) == (len(sentence.parts) > 1)


@given(DOCUMENTS)
def test_each_sentence_says_where_it_came_from(document: str) -> None:
    result = s2s.generate_document(FunctionModel(lambda text: f"<{text}>"), document)
    rebuilt, at, end = "", 0, 0
    for sentence in result.sentences:
        assert sentence.text == f"<{sentence.source}>"
        assert document[sentence.source_start : sentence.source_end] == sentence.source
        assert result.text[sentence.start : sentence.end] == sentence.text
        between = document[at : sentence.source_start]
        assert result.text[end : sentence.start] == between
        assert not any(map(str.isalnum, between))
        rebuilt += between + sentence.text
        at, end = sentence.source_end, sentence.end
    assert rebuilt + document[at:] == result.text


def test_all_sentences_are_one_call_in_the_languages_of_the_caller() -> None:
    model = FunctionModel(str.upper)
    text = "\n\n".join(f"  Line {i} is one. It has two." for i in range(150))
    result = s2s.generate_document(model, text, batch_size=7, num_beams=2, seed=3)
    assert result.text == text.upper()
    ((texts, options),) = model.calls
    assert texts == [s for i in range(150) for s in (f"Line {i} is one.", "It has two.")]
    assert options == {"batch_size": 7, "num_beams": 2, "seed": 3}


def test_a_prefix_is_that_of_every_sentence() -> None:
    model = FunctionModel()
    s2s.generate_document(model, "One. Two.", decoder_prefix="Ein")
    assert model.calls[0][1]["decoder_prefix"] == ["Ein", "Ein"]


def test_what_has_no_letter_is_not_generated() -> None:
    model = FunctionModel(str.upper)
    result = s2s.generate_document(model, "one.\n* * *\n---\n")
    assert result.text == "ONE.\n* * *\n---\n"
    assert model.calls[0][0] == ["one."]
    assert s2s.generate_document(model, "\n* * *\n").sentences == []
    assert len(model.calls) == 1


def test_line_breaks_that_a_model_writes_do_not_change_the_lines() -> None:
    result = s2s.generate_document(FunctionModel(lambda _: "\n a\nb\r\n"), "one.\ntwo.\n")
    assert result.text == "a b\na b\n"


def test_nothing_generated_is_the_source_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "keras_s2s"):
        result = s2s.generate_document(
            FunctionModel(lambda text: "" if "Two" in text else text.upper()), "One. Two. Three."
        )
    assert result.text == "ONE. Two. THREE."
    assert [sentence.is_source for sentence in result.sentences] == [False, True, False]
    assert "1 of 3 generated sentences are as in the source" in caplog.text
    assert "'Two.'" in caplog.text


def test_what_is_cut_off_at_the_longest_target_is_said(caplog: pytest.LogCaptureFixture) -> None:
    class Cut(FunctionModel):
        def generate(self, texts, **options):
            output = super().generate(texts, **options)
            output.token_ids[1] = 5  # no EOS
            return output

    with caplog.at_level(logging.WARNING, "keras_s2s"):
        result = s2s.generate_document(Cut(), "One. Two. Three.")
    assert [sentence.unfinished for sentence in result.sentences] == [False, True, False]
    assert "1 of 3 generated sentences were cut off at max_length" in caplog.text


def test_a_long_sentence_is_split_at_clauses_and_said(caplog: pytest.LogCaptureFixture) -> None:
    text = "One. If it rains, then we stay at home; else we go."
    model = FunctionModel(str.upper)
    with caplog.at_level(logging.WARNING, "keras_s2s"):
        result = s2s.generate_document(model, text, max_source_length=24)
    assert result.text == text.upper()
    assert model.calls[0][0] == ["One.", "If it rains,", "then we stay at home;", "else we go."]
    assert [sentence.was_split for sentence in result.sentences] == [False, True]
    assert result.sentences[1].parts == tuple(model.calls[0][0][1:])
    assert "1 of 2 sentences have more than 24 ids" in caplog.text


def test_the_smaller_limit_counts() -> None:
    model = FunctionModel(max_source_length=12)
    s2s.generate_document(model, "One two, three four.", max_source_length=30)
    assert model.calls[0][0] == ["One two,", "three four."]


def test_arguments_that_cannot_be_used() -> None:
    model = FunctionModel()
    with pytest.raises(TypeError, match="document is a bytes, expected a str"):
        s2s.generate_document(model, b"One.")
    with pytest.raises(ValueError, match="lone surrogate"):
        s2s.generate_document(model, "One \ud800.")
    with pytest.raises(ValueError, match=r"format='htm' is unknown; did you mean 'html'\?"):
        s2s.generate_document(model, "One.", format="htm")
    with pytest.raises(ValueError, match="one text for each sentence"):
        s2s.generate_document(model, "One.", num_return_sequences=2)
    with pytest.raises(ValueError, match="return_output is for"):
        s2s.generate_document(model, "One.", return_output=True)
    with pytest.raises(ValueError, match="batch_size"):
        s2s.generate_document(model, "One.", batch_size=0)
    with pytest.raises(ValueError, match="max_source_length"):
        s2s.generate_document(model, "One.", max_source_length=0)
    model.preprocessor = None
    with pytest.raises(ValueError, match="no preprocessor"):
        s2s.generate_document(model, "One.")
