"""Output is UTF-8 in every locale, as input is."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli.small_folder import save_small_model
from small_models import slow_where_compiled

from keras_s2s.cli import main
from keras_s2s.cli.lines.input import open_lines

LOCALES = [
    {"PYTHONIOENCODING": "latin-1"},
    {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


@slow_where_compiled
@pytest.mark.parametrize("variables", LOCALES)
def test_a_table_in_any_locale(variables: dict[str, str], tmp_path: Path) -> None:
    """A preset whose description no 8-bit encoding has; no backend is imported."""
    (tmp_path / "mine.yaml").write_text(
        "base: gru_bahdanau\ndescription: 한국어 — né\n", encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "keras_s2s", "zoo", "show", "mine.yaml"],
        env={**os.environ, **variables},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "한국어 — né" in done.stdout.decode("utf-8")


@slow_where_compiled
@pytest.mark.parametrize("way", [[], ["--scores"], ["--json"], ["--output", "FILE"]])
def test_answers_through_an_output_of_another_encoding(tmp_path, monkeypatch, capsys, way) -> None:
    folder = save_small_model(tmp_path / "model")
    file = tmp_path / "out"
    way = [str(file) if word == "FILE" else word for word in way]
    assert main(["generate", folder, "가나", "abc", *way]) == 0
    expected = file.read_bytes() if file.exists() else capsys.readouterr().out.encode("utf-8")
    assert not expected.isascii()
    raw = io.BytesIO()
    stdout = io.TextIOWrapper(raw, encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert main(["generate", folder, "가나", "abc", *way]) == 0
    assert (stdout.encoding, stdout.errors) == ("latin-1", "strict")
    assert (file.read_bytes() if file.exists() else raw.getvalue()) == expected


def test_words_of_a_command_line_in_a_locale_without_letters() -> None:
    word = "가나".encode().decode("ascii", "surrogateescape")
    with open_lines([word, "\udcff"], None) as lines:
        assert [(line.text, line.problem) for line in lines] == [
            ("가나", None),
            ("", "is not valid UTF-8"),
        ]
