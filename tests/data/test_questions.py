"""Questions in SQuAD's JSON form as pairs."""

from __future__ import annotations

import copy
import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from small_models import COMPILES

from keras_s2s.data import Answer, DataError, read_questions

# No backend has a part in this.
pytestmark = [pytest.mark.slow] if COMPILES else []


def article(name: str) -> dict[str, Any]:
    answers = [{"text": f"{name} dog", "answer_start": 0}, {"text": "dog", "answer_start": 2}]
    asked = {"id": name, "question": "Who\nsleeps?", "answers": answers}
    paragraph = {"context": f"{name} dog\n\nsleeps.", "qas": [asked]}
    return {"title": name, "paragraphs": [paragraph]}


CONTENT = {"version": "1.1", "data": [article(name) for name in ("A", "The", "One")]}


def write(folder: Path, content: Any) -> Path:
    path = folder / "questions.json"
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def test_pairs_of_question_with_context_and_answer(tmp_path: Path) -> None:
    pairs = read_questions(write(tmp_path, CONTENT))
    assert pairs.report.kept == 3
    source, target = pairs[1]
    assert source == "question: Who sleeps? context: The dog sleeps."
    assert target == "The dog"
    assert isinstance(target, Answer)
    assert target.accepted == ("The dog", "dog")
    for again in (copy.deepcopy(target), pickle.loads(pickle.dumps(target))):
        assert (again, again.accepted) == (target, target.accepted)


def test_a_part_of_the_articles_of_a_packed_file(tmp_path: Path) -> None:
    path = tmp_path / "questions.json.gz"
    path.write_bytes(gzip.compress(json.dumps(CONTENT).encode()))
    assert [target for _, target in read_questions(path, articles=(1, 3))] == ["The dog", "One dog"]
    with pytest.raises(DataError, match="articles 2 to 4 are asked for, and there are 3"):
        read_questions(path, articles=(2, 4))


def test_questions_without_an_answer_are_counted(tmp_path: Path) -> None:
    content = copy.deepcopy(CONTENT)
    content["data"][0]["paragraphs"][0]["qas"][0]["answers"] = []
    assert read_questions(write(tmp_path, content)).report.empty_target == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("data"), "the file: expected an object with a list under 'data'"),
        (lambda c: c["data"][1].pop("paragraphs"), "article 1: expected .* 'paragraphs'"),
        (lambda c: c["data"].append(3), "article 3: expected an object"),
        (
            lambda c: c["data"][2]["paragraphs"][0].update(context=3),
            "article 2, paragraph 0: expected an object with a text under 'context'",
        ),
        (
            lambda c: c["data"][0]["paragraphs"][0]["qas"][0].update(answers={"text": "x"}),
            "article 0, paragraph 0, question 0: expected an object with a list under 'answers'",
        ),
        (
            lambda c: c["data"][0]["paragraphs"][0]["qas"][0].update(question="\ud800"),
            "question holds an unpaired surrogate",
        ),
    ],
)
def test_what_is_of_another_form_is_named(tmp_path: Path, change: Any, message: str) -> None:
    content = copy.deepcopy(CONTENT)
    change(content)
    path = tmp_path / "questions.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        read_questions(path)


def test_what_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "questions.json").write_text("{,")
    with pytest.raises(DataError, match=r"questions\.json: not valid JSON"):
        read_questions(tmp_path / "questions.json")
