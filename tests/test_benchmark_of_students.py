"""The benchmark of students: its arithmetic by hand, and a small run from end to end."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest
from small_models import slow_where_compiled

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import student  # noqa: E402


def sample(round_: int, role: str, seconds: float) -> dict[str, object]:
    return {"round": round_, "role": role, "seconds": seconds}


def test_ratios_are_of_one_round() -> None:
    samples = [
        *(sample(0, "teacher", 10.0), sample(0, "student", 5.0)),
        *(sample(1, "student", 20.0), sample(1, "teacher", 80.0)),
        *(sample(2, "teacher", 6.0), sample(2, "student", 2.0)),
    ]
    found = student.summary(samples)
    assert found == {"seconds": {"teacher": 10.0, "student": 5.0}, "speedup": [2.0, 3.0, 4.0]}


def test_options_of_the_student() -> None:
    assert student.option("num_beams=2") == ("num_beams", 2)
    assert student.option("shortlist=a=b.txt") == ("shortlist", "a=b.txt")
    for wrong in ("shortlist", "=3"):
        with pytest.raises(argparse.ArgumentTypeError, match="NAME=VALUE"):
            student.option(wrong)


@slow_where_compiled
def test_a_small_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from keras_s2s import Seq2SeqLM
    from keras_s2s.text import Preprocessor

    text = Preprocessor.train([("abc", "cba"), ("b a", "a b")], "character")
    for name, layers in (("large", 2), ("small", 1)):
        shared = {"hidden_dim": 8, "num_heads": 2, "num_layers": layers, "intermediate_dim": 8}
        Seq2SeqLM.from_preset(
            "transformer_tiny",
            load_weights=False,
            preprocessor=text,
            architecture={"shared": shared, "share_embeddings": False},
            generation={"max_length": 5},
        ).save_to_preset(tmp_path / name)
    (tmp_path / "sources").write_text("abc\ncab\nb a\n")
    (tmp_path / "targets").write_text("cba\nbac\na b\n")
    words = [str(tmp_path / "large"), str(tmp_path / "small"), "--rounds", "2", "--limit", "2"]
    words += [f"--{name}={tmp_path / name}" for name in ("sources", "targets")]
    output = tmp_path / "out" / "student.json"
    words += ["--student-option", "min_length=5"]
    assert student.main([*words, "--num-beams", "2", f"--output={output}"]) == 0
    result = json.loads(output.read_text())
    assert [(s["round"], s["role"]) for s in result["samples"]] == [
        *((0, "teacher"), (0, "student")),
        *((1, "student"), (1, "teacher")),
    ]
    assert result["sources"] == 2 and result["student_options"] == {"min_length": 5}
    assert (
        set(result["metrics"]["student"]) == set(result["metrics"]["teacher"]) >= {"bleu", "chrf"}
    )
    printed = capsys.readouterr().out
    assert f"teacher: {result['parameters']['teacher']:,} parameters" in printed
    assert "times as fast" in printed
