"""As many lines out as in, whatever becomes of one of them."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.small_folder import POSITIONS, save_small_model
from small_models import slow_where_compiled

from keras_s2s import Seq2SeqLM
from keras_s2s.cli import main
from keras_s2s.cli.commands import generate
from keras_s2s.cli.lines.input import open_lines
from keras_s2s.cli.lines.output import one_line

LONG = "abc" * POSITIONS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_small_model(tmp_path_factory.mktemp("model"))


def write(path: Path, lines: Sequence[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def run(capsys: Any, *arguments: str) -> tuple[int, list[str], str]:
    code = main([*arguments])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err and "unexpected" not in printed.err
    return code, printed.out.split("\n")[:-1], printed.err


WAYS = [[], ["--num-beams", "3", "--num-return-sequences", "2"]]


@slow_where_compiled
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", [[], ["--scores"], ["--json"]])
def test_a_chunk_with_blank_broken_and_long_lines(folder, capsys, tmp_path, monkeypatch, way, form):
    monkeypatch.setattr(generate, "CHUNK", 4)
    path = tmp_path / "in.txt"
    good = ["abc", "ab c", "가나", "c ba", "a"]
    lines = [good[0], "", LONG, good[1], good[2], " \u3000", "caf\xe9", good[3], LONG, good[4]]
    path.write_bytes(
        b"".join(s.encode("latin-1" if "\xe9" in s else "utf-8") + b"\n" for s in lines)
    )
    code, out, err = run(capsys, "generate", folder, "-i", str(path), *way, *form)
    count = 2 if way else 1
    assert code == 1
    assert f"error: {path}, line 3 has {len(LONG) + 1} ids, but the model has positions for" in err
    assert "--overlong truncate" in err
    assert f"error: {path}, line 7 is not valid UTF-8" in err
    assert f"error: {path}, line 9 has" in err
    assert "nothing was generated for 3 of 10 lines; their output is blank" in err
    _, expected, _ = run(capsys, "generate", folder, *good, *way, *form)
    blank = "\t" if form == ["--scores"] else ""
    if form == ["--json"]:
        entries = [json.loads(line) for line in out]
        assert len(entries) == len(lines)
        assert [len(entry["answers"]) for entry in entries] == [
            count if line in good else 0 for line in lines
        ]
        assert [("error" in entry) for entry in entries] == [
            line in (LONG, "caf\xe9") for line in lines
        ]
        assert [entry["source"] for entry in entries] == [
            "" if line == "caf\xe9" else line for line in lines
        ]
        entries = [entry for entry in entries if entry["answers"]]
        assert [json.dumps(entry, ensure_ascii=False) for entry in entries] == expected
        return
    assert len(out) == count * len(lines)
    groups = [out[i : i + count] for i in range(0, len(out), count)]
    found = [row for line, rows in zip(lines, groups, strict=True) if line in good for row in rows]
    assert found == expected
    others = [rows for line, rows in zip(lines, groups, strict=True) if line not in good]
    assert others == [[blank] * count] * 5


@slow_where_compiled
@pytest.mark.parametrize("way", WAYS)
def test_the_true_line_of_a_later_chunk(folder, capsys, tmp_path, monkeypatch, way):
    path = write(tmp_path / "in.txt", [*["abc"] * 521, LONG, *["ab c"] * 30])
    code, out, err = run(capsys, "generate", folder, "--input", path, "--max-length", "3", *way)
    assert code == 1
    assert f"{path}, line 522 has" in err
    assert len(out) == 552 * (2 if way else 1)


@slow_where_compiled
def test_truncate_names_the_lines_that_are_cut(folder, capsys, tmp_path):
    path = write(tmp_path / "in.txt", ["abc", "", LONG, "ab c"])
    output = tmp_path / "out.txt"
    code, _, err = run(
        capsys, "generate", folder, "-i", path, "--overlong", "truncate", "-o", str(output)
    )
    assert code == 0
    assert f"{path}, line 3 has {len(LONG) + 1} ids" in err and "it is cut to fit" in err
    assert "1 of" not in err
    model = Seq2SeqLM.from_preset(folder)
    expected = model.generate(["abc", LONG[: POSITIONS - 1], "ab c"])
    assert output.read_text("utf-8").split("\n") == [
        expected[0], "", expected[1], expected[2], "",
    ]  # fmt: skip


@slow_where_compiled
def test_scores_are_those_of_the_model(folder, capsys):
    model = Seq2SeqLM.from_preset(folder)
    texts = ["abc", "가나"]
    options = {"num_beams": 3, "num_return_sequences": 2}
    output = model.generate(texts, return_output=True, **options)
    words = ["--num-beams", "3", "--num-return-sequences", "2"]
    _, lines, _ = run(capsys, "generate", folder, *texts, *words, "--scores")
    rows = [line.split("\t", 1) for line in lines]
    np.testing.assert_allclose(
        [float(s) for s, _ in rows], output.scores.ravel(), rtol=1e-5, atol=1e-5
    )
    assert [text for _, text in rows] == [one_line(t) for texts in output.texts for t in texts]
    _, lines, _ = run(capsys, "generate", folder, *texts, *words, "--json")
    entries = [json.loads(line) for line in lines]
    assert [entry["source"] for entry in entries] == texts
    for i, entry in enumerate(entries):
        assert [answer["text"] for answer in entry["answers"]] == output.texts[i]
        found = [[answer["score"], answer["log_prob"]] for answer in entry["answers"]]
        sums = output.token_log_probs[i].sum(-1)
        np.testing.assert_allclose(
            found, np.stack([output.scores[i], sums], 1), rtol=1e-5, atol=1e-5
        )


def test_the_models_own_number_of_answers_holds_for_blank_lines(tmp_path, capsys):
    folder = save_small_model(tmp_path / "three", num_beams=4, num_return_sequences=3)
    source = write(tmp_path / "in.txt", ["", "abc", ""])
    _, out, _ = run(capsys, "generate", folder, "-i", source)
    assert len(out) == 9 and out[:3] == out[6:] == [""] * 3
    # A text of nothing but blank lines has as many as any other.
    source = write(tmp_path / "blank.txt", ["", ""])
    assert run(capsys, "generate", folder, "-i", source)[:2] == (0, [""] * 6)


@slow_where_compiled
@pytest.mark.parametrize("metric", ["bleu", "exact_match"])
def test_measuring_takes_the_first_answer(tmp_path, capsys, metric):
    folder = save_small_model(tmp_path / "three", num_beams=4, num_return_sequences=3)
    first = [texts[0] for texts in Seq2SeqLM.from_preset(folder).generate(["abc", "ab c"])]
    source = write(tmp_path / "s", ["abc", "ab c"])
    target = write(tmp_path / "t", [one_line(first[0]), "x"])
    out = tmp_path / "answers"
    files = ["--source", source, "--target", target, "-o", str(out), "--metrics", metric]
    code, lines, _ = run(capsys, "evaluate", folder, *files)
    assert code == 0
    assert out.read_text("utf-8").splitlines() == [one_line(text) for text in first]
    if metric == "exact_match":
        assert json.loads(lines[-1])["exact_match"] == 50.0


# --------------------------------------------------------------------------------------
# evaluate
# --------------------------------------------------------------------------------------


def test_evaluate_writes_a_line_for_each_line(folder, capsys, tmp_path):
    sources = ["abc", "", "ab c", "가나"]
    model = Seq2SeqLM.from_preset(folder)
    a, b, c = (one_line(text) for text in model.generate(["abc", "ab c", "가나"]))
    source = write(tmp_path / "s", sources)
    target = write(tmp_path / "t", [a, "x", "", "wrong"])
    output = tmp_path / "out"
    files = ["--source", source, "--target", target, "--output", str(output)]
    code, lines, err = run(capsys, "evaluate", folder, *files, "--metrics", "exact_match")
    assert code == 0
    assert output.read_text("utf-8").split("\n") == [a, "", b, c, ""]
    result = json.loads(lines[-1])
    assert (result["exact_match"], result["pairs"]) == (50.0, 2)
    assert "4 pairs read, 2 kept; dropped 1 with an empty source, 1 with an empty target" in err


def test_evaluate_measures_nothing_where_a_line_is_too_long(folder, capsys, tmp_path):
    source = write(tmp_path / "s", ["abc", "", LONG])
    target = write(tmp_path / "t", ["abc", "x", "c"])
    output = tmp_path / "out"
    files = ["--source", source, "--target", target, "--output", str(output)]
    code, lines, err = run(capsys, "evaluate", folder, *files)
    assert (code, lines) == (1, [])
    assert f"{source}, line 3 has" in err and "--overlong truncate" in err
    assert "nothing was measured" in err
    assert not output.exists()
    code, lines, err = run(capsys, "evaluate", folder, *files, "--overlong", "truncate")
    assert code == 0
    assert f"{source}, line 3 has" in err
    assert len(output.read_text("utf-8").split("\n")) == 4


# --------------------------------------------------------------------------------------
# Files
# --------------------------------------------------------------------------------------


def read(*arguments: Any) -> list[tuple[str, str, bool]]:
    with open_lines(*arguments) as lines:
        return [(line.place, line.text, line.problem is None) for line in lines]


def test_places_of_lines(tmp_path, monkeypatch):
    path = str(tmp_path / "x")
    Path(path).write_bytes("\ufeffa\r\n\u2028b\x0cc\n\nd".encode())
    texts = ["a", "\u2028b\x0cc", "", "d"]
    expected = [(f"{path}, line {i}", text, True) for i, text in enumerate(texts, 1)]
    assert read(None, path) == expected
    Path(path).write_bytes(gzip.compress(Path(path).read_bytes()))
    assert read(None, path) == expected
    monkeypatch.setattr(sys, "stdin", type("S", (), {"buffer": io.BytesIO(b"a\n\xff\n")}))
    assert read(None, None) == [
        ("standard input, line 1", "a", True),
        ("standard input, line 2", "", False),
    ]
    assert read(["a", "\udcff", ""], None) == [
        ("text 1", "a", True),
        ("text 2", "", False),
        ("text 3", "", True),
    ]


@slow_where_compiled
@pytest.mark.parametrize("broken", [b"\xff", b"caf\xe9 au", "가".encode()[:2] + b"a"])
def test_both_commands_count_the_byte_that_is_not_utf8_alike(folder, capsys, tmp_path, broken):
    path, other = tmp_path / "in.txt", tmp_path / "target.txt"
    path.write_bytes(b"abc\n" + broken + b"\n")
    other.write_bytes(b"abc\nabc\n")
    _, _, generated = run(capsys, "generate", folder, "-i", str(path))
    _, _, measured = run(capsys, "evaluate", folder, "--source", str(path), "--target", str(other))
    try:
        broken.decode()
    except UnicodeDecodeError as error:
        place = f"byte 0x{broken[error.start]:02x} at position {error.start + 1}"
    for err in (generated, measured):
        assert f"{path}, line 2" in err and place in err


def test_utf16_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "x"
    path.write_bytes("a\n".encode("utf-16"))
    with pytest.raises(ValueError, match="line 1: UTF-16, expected UTF-8"):
        read(None, str(path))
    path.write_bytes(gzip.compress(b"a\nb\n" * 1000)[:-10])
    with pytest.raises(ValueError, match="damaged gzip data"):
        read(None, str(path))


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\nb", "a\u2028b", "a\u0085b", "a\x0bb\x0c", "\n", "a\x1eb\r"]
)
def test_an_answer_is_one_line_for_every_reader(text):
    assert len(f"{one_line(text)}\n".splitlines()) == 1


@slow_where_compiled
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "MODEL", "x", "--overlong", "cut"], "--overlong cut: expected error, "),
        (["generate", "MODEL", "x", "--scores", "--json"], "exclude each other"),
        (["generate", "MODEL", "--input", "MODEL"], "Is a directory"),
        (["evaluate", "MODEL", "--source", "/no/s", "--target", "/no/t"], "/no/s: No such file"),
    ],
)
def test_mistakes(folder, capsys, arguments, message):
    code, out, err = run(capsys, *(folder if word == "MODEL" else word for word in arguments))
    assert (code, out) == (1, [])
    assert message in err
