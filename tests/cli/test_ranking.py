"""--rerank and --minimum-bayes-risk of the commands do what the functions of Python do."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from cli.small_folder import POSITIONS, save_small_model
from small_models import COMPILES

import keras_s2s as s2s
from keras_s2s.cli import main

# What is tested here begins where generation ends.
pytestmark = [pytest.mark.slow] if COMPILES else []

SOURCES = ["abc", "가나", "ab c"]
MODULE = """
class Scores:
    @staticmethod
    def shortest(sources, candidates):
        return [-len(c) - c.count("a") for c in candidates]


def same(candidates, samples):
    return [float(c == s) for c, s in zip(candidates, samples)]


number = 3
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    return save_small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def module(tmp_path: Path, monkeypatch) -> None:
    """A module in the current folder, which is not where Python looks for modules."""
    (tmp_path / "scores_of_mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.delitem(sys.modules, "scores_of_mine", raising=False)


def lines(capsys, *arguments: str) -> list[str]:
    assert main([*arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_best_by_a_function(folder: str, capsys, module) -> None:
    import importlib

    options = ["--num-beams", "4", "--model-weight", "0.5"]
    function = ["--rerank", "scores_of_mine:Scores.shortest"]
    found = lines(capsys, "generate", folder, *SOURCES, *options, *function)
    model = s2s.Seq2SeqLM.from_preset(folder)
    scores = importlib.import_module("scores_of_mine").Scores
    call = {"num_beams": 4, "model_weight": 0.5, "return_output": True}
    expected = s2s.rerank(model, SOURCES, scores.shortest, **call)
    assert found == expected.texts
    as_json = lines(capsys, "generate", folder, *SOURCES, *options, *function, "--json")
    for i, line in enumerate(as_json):
        answers = json.loads(line)["answers"]
        assert [each["text"] for each in answers] == expected.candidates[i]
        for name, values in (("score", expected.values[i]), ("log_prob", expected.log_probs[i])):
            np.testing.assert_allclose([each[name] for each in answers], values, atol=1e-4)
    scored = lines(capsys, "generate", folder, *SOURCES, *options, *function, "--scores")
    assert [line.split("\t")[1] for line in scored] == expected.texts


@pytest.mark.parametrize("utility", ["exact_match", "chrf", "scores_of_mine:same"])
def test_minimum_bayes_risk(folder: str, capsys, module, utility) -> None:
    options = ["--minimum-bayes-risk", utility, "--num-samples", "8", "--seed", "5"]
    found = lines(capsys, "generate", folder, *SOURCES, *options)
    model = s2s.Seq2SeqLM.from_preset(folder)
    name = "exact_match" if ":" in utility else utility
    assert found == s2s.minimum_bayes_risk(model, SOURCES, utility=name, num_samples=8, seed=5)


def test_blank_lines_and_lines_that_are_split(folder: str, capsys) -> None:
    long = "ab c. " * POSITIONS
    options = ["--minimum-bayes-risk", "exact_match", "--num-samples", "4", "--seed", "1"]
    found = lines(capsys, "generate", folder, "abc", " ", long, "--overlong", "split", *options)
    assert len(found) == 3 and found[1] == "" and found[0] and found[2]
    arguments = ["generate", folder, "abc", " ", long, *options, "--json"]
    assert main(arguments) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [len(row["answers"]) > 0 for row in rows] == [True, False, False]
    assert "--overlong truncate" in rows[2]["error"]


def test_evaluate_says_how_results_were_chosen(folder: str, capsys, tmp_path: Path) -> None:
    for name in ("source", "target"):
        (tmp_path / name).write_text("\n".join(SOURCES) + "\n", encoding="utf-8")
    files = ["--source", str(tmp_path / "source"), "--target", str(tmp_path / "target")]
    options = ["--minimum-bayes-risk", "chrf", "--num-samples", "8", "--seed", "5"]
    kept = tmp_path / "kept"
    arguments = ["evaluate", folder, *files, *options, "--metrics", "chrf", "--output", str(kept)]
    report = json.loads(lines(capsys, *arguments)[-1])
    assert (report["minimum_bayes_risk"], report["num_samples"]) == ("chrf", 8)
    model = s2s.Seq2SeqLM.from_preset(folder)
    expected = s2s.minimum_bayes_risk(model, SOURCES, num_samples=8, seed=5)
    assert kept.read_text(encoding="utf-8").splitlines() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rerank", "length"], "--rerank length: expected MODULE:FUNCTION, such as"),
        (["--rerank", "no_such_thing:f"], "there is no module no_such_thing in"),
        (["--rerank", "scores_of_mine:longest"], "scores_of_mine has no function longest"),
        (["--rerank", "scores_of_mine:number"], "scores_of_mine has no function number"),
        (["--minimum-bayes-risk", "blue"], "utility='blue' is unknown; did you mean 'bleu'?\n"),
        (["--minimum-bayes-risk", "comet"], "'exact_match', or MODULE:FUNCTION"),
        (["--minimum-bayes-risk", "chrf", "--rerank", "a:b"], "both choose the result"),
        (["--num-samples", "3"], "--num-samples is for --minimum-bayes-risk UTILITY"),
        (["--model-weight", "3"], "--model-weight is for --rerank MODULE:FUNCTION"),
        (
            ["--minimum-bayes-risk", "chrf", "--num-return-sequences", "2"],
            "--num-return-sequences: --minimum-bayes-risk has --num-samples in its place",
        ),
        (
            ["--minimum-bayes-risk", "chrf", "--num-beams", "4"],
            "num_samples=32 is more than num_be",
        ),
    ],
)
def test_what_cannot_be_meant(folder: str, capsys, module, options, message) -> None:
    assert main(["generate", folder, "abc", *options]) == 1
    assert message in capsys.readouterr().err


def test_not_for_documents(folder: str, capsys, tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("abc")
    arguments = ["generate", folder, "--document", str(tmp_path / "d.txt"), "--rerank", "a:b"]
    assert main(arguments) == 1
    assert "are for lines, and not for --document" in capsys.readouterr().err
