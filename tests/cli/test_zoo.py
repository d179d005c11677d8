"""`keras-s2s zoo`, and how the program ends: messages, exit codes, pipes, terminals."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_models import slow_where_compiled

from keras_s2s import catalog
from keras_s2s.cli import app, main, zoo_tables
from keras_s2s.cli.tables import print_table


@pytest.fixture
def terminal(monkeypatch):
    """Make standard output a terminal of a given width."""

    def set_width(width: int) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", str(width))

    return set_width


def words(text: str) -> str:
    """Text without the line breaks and padding that a table puts into it."""
    return "".join(text.split())


# --------------------------------------------------------------------------------------
# zoo list, zoo show
# --------------------------------------------------------------------------------------


@slow_where_compiled
def test_list_has_a_line_for_each_preset(capsys):
    assert main(["zoo", "list"]) == 0
    output = capsys.readouterr()
    architectures, *families, halves = output.out.split("\n\n")
    title, heading, _rule, *rows = architectures.splitlines()
    assert title == "Architectures, to be trained"
    assert heading.split() == ["name", "type", "sizes", "parameters", "description"]
    assert len(rows) >= 9
    assert output.err == ""
    checkpoints = []
    for family in families:
        title, heading, _rule, *lines = family.splitlines()
        assert title.startswith("Checkpoints: ")
        assert heading.split() == ["name", "size", "license", "source"]
        for line in lines:
            name, source = line.split()[0], line.split()[-1]
            assert source == catalog.load_entry(name).source
            checkpoints.append(name)
    title, _heading, _rule, *lines = halves.splitlines()
    assert title.startswith("Halves: ")
    assert [line.split()[0] for line in lines] == catalog.list_halves()
    assert all(line.split()[1] == catalog.load_half(line.split()[0]).source for line in lines)
    assert len(families) >= 12 and len(checkpoints) >= 60
    names = [*(row.split()[0] for row in rows), *checkpoints]
    assert sorted(names) == catalog.list_presets()
    cells = [" ".join(line.split()) for line in output.out.splitlines()]
    for line in ("opus_mt_en_de 74 M CC-BY-4.0 hf:", "t5_3b 2.85 B Apache-2.0 hf:"):
        assert sum(each.startswith(line) for each in cells) == 1
    assert sum(each.startswith("opus_mt_ko_en Apache-2.0 hf:") for each in cells) == 1
    base = next(row for row in rows if row.startswith("transformer_base"))
    for part in ("6+6 layers", "hidden 512", "ffn 2048", "8 heads", "Vaswani et al. 2017"):
        assert part in base
    assert "additive attention" in next(row for row in rows if row.startswith("gru_bahdanau"))
    assert all(row == row.rstrip() for row in rows)


def test_show_prints_every_setting(capsys):
    assert main(["zoo", "show", "gru_bahdanau"]) == 0
    output = capsys.readouterr().out
    preset = catalog.load_preset("gru_bahdanau")
    checked = 0
    for section in zoo_tables._sections("gru_bahdanau", preset):
        assert f"\n{section.title}\n" in f"\n{output}"
        for setting, value, meaning in section.rows:
            line = next(
                line
                for line in output.partition(section.title)[2].splitlines()
                if line.startswith(f"{setting} ")
            )
            assert value in line
            assert meaning in line
            checked += 1
    assert checked >= 45
    for path in catalog.preset_chain("gru_bahdanau"):
        assert str(path) in output


def test_sections_hold_the_whole_preset():
    preset = catalog.load_preset("transformer_base")

    def count(data) -> int:
        return sum(count(value) if isinstance(value, dict) else 1 for value in data.values())

    rows = [row for section in zoo_tables._sections("", preset) for row in section.rows]
    assert len(rows) == count(preset.model_dump())


def test_show_prints_an_entry_that_only_points(capsys):
    assert main(["zoo", "show", "opus_mt_ko_en"]) == 0
    output = capsys.readouterr().out
    assert "hf://Helsinki-NLP/opus-mt-ko-en" in output
    assert "architecture" not in output.replace("the architecture", "")


def test_the_table_in_the_docs_is_what_the_zoo_holds(capsys):
    assert main(["zoo", "list", "--markdown"]) == 0
    found = (Path(__file__).resolve().parents[2] / "docs" / "presets.md").read_text("utf-8")
    assert found.partition("\n\n## ")[1:] == ("\n\n## ", capsys.readouterr().out[3:]), (
        "write it anew: keras-s2s zoo list --markdown"
    )


def test_show_takes_a_path(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text("base: transformer_tiny\ngeneration: {num_beams: 3}\n")
    assert main(["zoo", "show", str(path)]) == 0
    assert str(path) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("architecture", "line"),
    [
        ("bridge: {type: copy}", "architecture.bridge.type: copy needs equal states"),
        (
            "decoder: {attention: {score: dot}}",
            "architecture.decoder.attention.score: dot needs equal widths",
        ),
        ("shared: {cell: gur}", "architecture.shared.cell: expected 'gru', 'lstm' or 'rnn'"),
    ],
)
def test_show_refuses_what_cannot_be_built(tmp_path, capsys, architecture, line):
    path = tmp_path / "mine.yaml"
    path.write_text(f"base: gru_bahdanau\narchitecture:\n  {architecture}\n")
    assert main(["zoo", "show", str(path)]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"keras-s2s: error: {path}: not a valid PresetConfig\n  {line}")


@slow_where_compiled
@pytest.mark.parametrize("width", [10, 24, 50, 80, 120])
def test_a_narrow_terminal_loses_nothing(terminal, capsys, width):
    terminal(width)
    assert main(["zoo", "list"]) == 0
    output = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(len(line) for line in output.splitlines()) <= width
    assert "…" not in output
    for name in catalog.list_presets():
        entry = catalog.load_entry(name)
        description = entry.source or entry.description
        if width <= 50:
            assert words(description) in words(output)
        elif entry.source is None:
            # In a table a description lies in pieces beside the other columns.
            assert all(word in output for word in description.split() if len(word) < 8)


def test_a_pipe_is_as_wide_as_it_must_be(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    print_table(("a", "b"), [("x" * 300, "y [dim] z"), ("", "ü 한국어")], title="t [bold]")
    title, heading, _rule, first, second = capsys.readouterr().out.splitlines()
    assert title == "t [bold]"
    assert heading.split() == ["a", "b"]
    assert first.split() == ["x" * 300, "y", "[dim]", "z"]
    assert second.split() == ["ü", "한국어"]


# --------------------------------------------------------------------------------------
# Errors
# --------------------------------------------------------------------------------------


def test_an_unknown_preset_is_one_message(capsys):
    assert main(["zoo", "show", "gru_bahdana"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == (
        "keras-s2s: error: no preset is called 'gru_bahdana'; did you mean 'gru_bahdanau'?\n"
    )


@pytest.mark.parametrize(
    "arguments", [["--debug", "zoo", "show", "x"], ["zoo", "show", "x", "--debug"]]
)
def test_debug_shows_the_stack(arguments, capsys):
    assert main(arguments) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_debug_after_two_dashes_is_a_word(capsys):
    assert main(["zoo", "show", "--", "--debug"]) == 1
    output = capsys.readouterr().err
    assert "no preset is called '--debug'" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    "arguments", [["zo"], ["zoo", "shw"], ["zoo", "list", "--al"], ["zoo", "show"]]
)
def test_a_command_that_is_not_understood(arguments, capsys):
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "Traceback" not in output.err
    assert "--help" in output.err


def test_help_lists_the_commands(capsys):
    assert main(["--help"]) == 0
    output = capsys.readouterr().out
    assert "zoo" in output
    assert "--debug" in output


@pytest.mark.parametrize(
    ("error", "code", "parts"),
    [
        (ValueError("the value 5 is too large"), 1, ["error: the value 5 is too large"]),
        (FileNotFoundError(2, "No such file or directory", "x.en"), 1, ["error: x.en: No such"]),
        (ImportError("plots need matplotlib"), 1, ["error: plots need matplotlib"]),
        (KeyError("secret"), 1, ["unexpected KeyError", "--debug"]),
        (ValueError(), 1, ["unexpected ValueError", "--debug"]),
        (KeyboardInterrupt(), 130, ["interrupted"]),
        (EOFError(), 1, [""]),
    ],
)
def test_what_a_command_raises(monkeypatch, capsys, error, code, parts):
    def fail() -> None:
        raise error

    monkeypatch.setattr(catalog, "list_presets", fail)
    assert main(["zoo", "list"]) == code
    output = capsys.readouterr()
    assert output.out == ""
    assert "Traceback" not in output.err
    for part in parts:
        assert part in output.err


def test_the_app_is_typers():
    assert app.info.name == "keras-s2s"


@slow_where_compiled
def test_results_alone_on_standard_output_and_a_reader_that_leaves():
    # `head` closes the pipe after one line.
    command = f"{sys.executable} -m keras_s2s.cli zoo show transformer_big | head -n 1"
    result = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.stdout == "transformer_big\n"
    assert "BrokenPipe" not in result.stderr
    assert "Traceback" not in result.stderr
