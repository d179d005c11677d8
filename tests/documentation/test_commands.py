"""Every option that a command in the documentation has exists.

Commands of `keras-s2s` are looked up in the program, those of a benchmark in its `--help`.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
from small_models import COMPILES

from keras_s2s.cli.app import app

# No backend has a part in this.
pytestmark = [pytest.mark.slow] if COMPILES else []

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(page for page in (ROOT / "docs").rglob("*.md") if "generated" not in page.parts),
        *(ROOT / "benchmarks").glob("*.md"),
        *SCRIPTS,
        *(ROOT / "recipes").glob("*.yaml"),
    ]
)

# A command on a line of its own, in a block or indented; a backslash goes on with the next line.
COMMAND = re.compile(
    r"^[ #>$]*(?:[A-Z_]+=\S+ )*(?:\S+/)?(keras-s2s|python benchmarks/\w+\.py)\b((?:\\\n|[^\n`])*)",
    re.MULTILINE,
)
OPTION = re.compile(r"--[a-z][\w-]*")


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a page: the program, and its words."""
    for program, rest in COMMAND.findall(text):
        line = rest.replace("\\\n", " ").split(" | ")[0].split(" > ")[0]
        try:
            yield program, shlex.split(line, comments=True)
        except ValueError:  # a sentence that begins with the program's name, with an apostrophe
            continue


@cache
def options_of_script(name: str) -> frozenset[str]:
    shown = subprocess.run(
        [sys.executable, str(ROOT / name), "--help"], capture_output=True, text=True, check=True
    )
    return frozenset(OPTION.findall(shown.stdout))


def options_of_command(words: list[str]) -> frozenset[str]:
    """Options of the program and of the command that the words name."""
    command = typer.main.get_command(app)
    names = {"--help", "--debug"}
    for word in ["", *words]:
        command = getattr(command, "commands", {}).get(word, command) if word else command
        names |= {name for part in command.params for name in (*part.opts, *part.secondary_opts)}
    return frozenset(names)


def unknown(program: str, words: list[str]) -> list[str]:
    """Options of a command that its program does not have."""
    given = [word.split("=")[0] for word in words if OPTION.match(word)]
    if program == "keras-s2s":
        return sorted({*given} - options_of_command(words))
    return sorted({*given} - options_of_script(program.removeprefix("python ")))


def test_commands_have_options_that_exist() -> None:
    count = {"keras-s2s": 0, "python": 0}
    for page in PAGES:
        for program, words in commands(page.read_text(encoding="utf-8")):
            assert unknown(program, words) == [], (page.relative_to(ROOT), program, words)
            count[program.split()[0]] += 1
    assert count["keras-s2s"] >= 30
    assert count["python"] >= 25
    assert len(SCRIPTS) >= 5


def test_an_option_that_does_not_exist_is_found() -> None:
    text = "    keras-s2s generate MODEL \\\n        --no-such-option 1 < in.txt\n"
    ((program, words),) = commands(text)
    assert unknown(program, words) == ["--no-such-option"]
    ((program, words),) = commands("    python benchmarks/train.py --sizes tiny --no-such\n")
    assert unknown(program, words) == ["--no-such"]
