"""`generate --document`, and lines that are split, as a shell sees them."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from cli.small_folder import POSITIONS, save_small_model
from small_models import slow_where_compiled

import keras_s2s as s2s
from keras_s2s.cli import main

#: Longer than the model reads at once, with a clause in the middle.
LONG = "abc, ab c, ba ca"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_small_model(tmp_path_factory.mktemp("model"))


def run(capsysbinary, *arguments: str) -> tuple[int, str, str]:
    code = main([*arguments])
    printed = capsysbinary.readouterr()
    return code, printed.out.decode(), printed.err.decode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.txt", "\ufeffabc\r\n\r\n\tab c.  가나\n"),
        ("in.HTM", "<p class='x'>ab <b>c</b><br>abc</p><pre>abc</pre>\r\n"),
        ("in.srt", "1\n00:00:01,000 --> 00:00:02,000\nabc\nab c\n"),
        ("in.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nabc &amp; c\n"),
    ],
)
def test_a_document_of_each_kind(
    folder: str, capsysbinary, tmp_path: Path, name: str, content: str
) -> None:
    path, output = tmp_path / name, tmp_path / "out"
    path.write_bytes(content.encode())
    code, printed, _ = run(capsysbinary, "generate", folder, "--document", str(path))
    kind = {".txt": "text", ".htm": "html"}.get(path.suffix.lower(), path.suffix[1:])
    expected = s2s.generate_document(s2s.Seq2SeqLM.from_preset(folder), content, kind)
    assert expected.text != content
    assert (code, printed) == (0, expected.text)
    words = ["--document", str(path), "--output", str(output), "--batch-size", "1"]
    assert run(capsysbinary, "generate", folder, *words)[:2] == (0, "")
    assert output.read_bytes().decode() == expected.text


@slow_where_compiled
def test_a_document_of_a_pipe_and_options(folder: str, capsysbinary, monkeypatch) -> None:
    class Stdin:
        buffer = io.BytesIO(b"abc.\r\nab c")

    monkeypatch.setattr(sys, "stdin", Stdin())
    words = ["--document", "-", "--document-format", "text", "--num-beams", "2"]
    code, printed, _ = run(capsysbinary, "generate", folder, *words)
    model = s2s.Seq2SeqLM.from_preset(folder)
    assert (code, printed) == (0, str(s2s.generate_document(model, "abc.\r\nab c", num_beams=2)))


@slow_where_compiled
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--document", "/no/x.txt"], "/no/x.txt: No such file"),
        (["--document", "x.pdf"], "--document x.pdf: its name does not end in .txt, .html"),
        (["--document", "x.txt", "--document-format", "rtf"], "--document-format rtf: expected"),
        (["--document", "x.txt", "abc"], "one of them"),
        (["--document", "x.txt", "--input", "y"], "one of them"),
        (["--document", "x.txt", "--json"], "are for lines"),
        (["--document", "x.txt", "--overlong", "truncate"], "are split"),
        (["abc", "--document-format", "text"], "is for --document FILE"),
        (["--document", "BROKEN"], "is not valid UTF-8 (byte 0xe9 at position 4)"),
        (["--document", "EMPTY", "--num-return-sequences", "2", "--num-beams", "2"], "one text"),
    ],
)
def test_mistakes(folder: str, capsysbinary, tmp_path: Path, words, message: str) -> None:
    files = {"BROKEN": tmp_path / "broken.txt", "EMPTY": tmp_path / "empty.txt"}
    files["BROKEN"].write_bytes(b"caf\xe9")
    files["EMPTY"].write_bytes(b"")
    words = [str(files.get(word, word)) for word in words]
    code, printed, err = run(capsysbinary, "generate", folder, *words)
    assert (code, printed) == (1, "") and message in err


@slow_where_compiled
def test_a_long_line_is_split_and_joined(folder: str, capsysbinary, tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text(f"abc\n{LONG}\n\n가나。{LONG}\n", encoding="utf-8")
    words = ["--input", str(path), "--overlong", "split"]
    code, printed, err = run(capsysbinary, "generate", folder, *words)
    parts, others = ["abc, ab c,", "ba ca"], ["가나。abc,", "ab c, ba ca"]
    assert len(LONG) >= POSITIONS > len(parts[0])
    model = s2s.Seq2SeqLM.from_preset(folder)
    made = model.generate(["abc", *parts, *others])
    assert all(text.strip() for text in made)
    expected = [made[0], " ".join(made[1:3]), "", " ".join(made[3:])]
    assert (code, printed.split("\n")) == (0, [*expected, ""])
    assert f"{path}, line 2 has {len(LONG) + 1} ids" in err and "split into 2 parts" in err
    code, printed, _ = run(capsysbinary, "generate", folder, *words, "--json")
    entry = json.loads(printed.splitlines()[1])
    (answer,) = entry["answers"]
    assert entry["source"] == LONG and answer["score"] is None
    whole = model.generate(parts, return_output=True)
    assert answer["log_prob"] == pytest.approx(float(whole.token_log_probs.sum()), abs=1e-4)
    several = ["--num-beams", "2", "--num-return-sequences", "2"]
    _, printed, _ = run(capsysbinary, "generate", folder, *words, *several)
    assert len(printed.splitlines()) == 8


@slow_where_compiled
def test_evaluate_splits_long_lines(folder: str, capsysbinary, tmp_path: Path) -> None:
    source, target, output = (tmp_path / name for name in ("s", "t", "o"))
    source.write_text(f"abc\n{LONG}\n", encoding="utf-8")
    target.write_text("cba\ncba\n", encoding="utf-8")
    words = ["--source", str(source), "--target", str(target), "--output", str(output)]
    assert run(capsysbinary, "evaluate", folder, *words)[0] == 1
    code, printed, _ = run(capsysbinary, "evaluate", folder, *words, "--overlong", "split")
    assert code == 0 and json.loads(printed.splitlines()[-1])["pairs"] == 2
    assert all(output.read_text("utf-8").splitlines()) and "bleu" in printed
