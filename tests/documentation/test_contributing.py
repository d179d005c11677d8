"""The walk-throughs of CONTRIBUTING.md are carried out, in a copy of the checkout.

A block of YAML or Python is a file, which its first line names; a diff is a change to a file; a
shell block runs in the copy.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_models import COMPILES

pytestmark = [pytest.mark.slow, pytest.mark.skipif(COMPILES, reason="once is enough")]

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

#: Heading -> its blocks, by language.
WALKS = {
    "A new family": {"yaml": 2, "bash": 2},
    "A new strategy or rule": {"python": 2, "bash": 1},
    "A new attention score": {"diff": 7, "bash": 1},
    "A new encoder, frontend or decoder": {"python": 2, "bash": 1},
    "A new kind of tokenizer": {"python": 1, "diff": 4, "bash": 1},
}
#: What the package needs of a checkout, and what its tests need.
COPIED = ("keras_s2s", "zoo", "recipes", "tests", "docs", "README.md", "pyproject.toml")


def blocks(heading: str) -> list[tuple[str, str]]:
    """The blocks below a heading: language and text."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return BLOCK.findall(section)


def apply(change: str, folder: Path) -> None:
    """Apply a diff whose hunks are found by their lines, not by numbers."""
    (name,) = re.findall(r"^\+\+\+ b/(.+)$", change, re.MULTILINE)
    path = folder / name
    text = path.read_text(encoding="utf-8")
    for hunk in re.split(r"^@@.*\n", change, flags=re.MULTILINE)[1:]:
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] != "+")
        after = "".join(line[1:] for line in lines if line[0] != "-")
        assert text.count(before) == 1, f"{name} has {text.count(before)} times:\n{before}"
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    return folder


def run(command: str, folder: Path) -> None:
    tools = folder.parent / "bin"
    tools.mkdir(exist_ok=True)
    for name, module in (("pytest", "pytest"), ("keras-s2s", "keras_s2s.cli")):
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        (tools / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(tools), os.environ["PATH"]]),
        "PYTHONPATH": str(folder),
    }
    done = subprocess.run(
        ["sh", "-e", "-c", command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("heading", list(WALKS))
def test_a_walk_through(heading: str, checkout: Path) -> None:
    found: dict[str, int] = {}
    for language, text in blocks(heading):
        found[language] = found.get(language, 0) + 1
        if language == "bash":
            run(text, checkout)
        elif language == "diff":
            apply(text, checkout)
        else:
            named = re.match(r"# ([\w./]+\.(?:py|yaml))\n", text)
            assert named is not None, f"the first line names no file:\n{text}"
            path = checkout / named[1]
            assert not path.exists()
            path.write_text(text[named.end() :], encoding="utf-8")
    assert found == WALKS[heading]


def test_every_block_belongs_to_a_walk_through() -> None:
    assert len(BLOCK.findall(PAGE)) == sum(sum(counts.values()) for counts in WALKS.values())
