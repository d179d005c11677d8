"""The tasks of a contributor: what the Makefile, the hooks and the workflow run exists."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from small_models import COMPILES

from keras_s2s.moved_modules import MOVED
from keras_s2s.version import __version__

# No backend has a part in this.
pytestmark = [pytest.mark.slow] if COMPILES else []

ROOT = Path(__file__).resolve().parents[2]
#: In the order of the Makefile.
TASKS = ["help", "install", "test", "test-jax", "test-torch", "test-slow"]
TASKS += ["lint", "format", "types", "docs", "ci"]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_make_help_lists_every_task() -> None:
    makefile = read("Makefile")
    assert re.findall(r"^([a-z-]+):", makefile, re.MULTILINE) == TASKS
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony.split() == TASKS
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == TASKS
    assert all(len(line.split()) > 2 for line in done.stdout.splitlines())


def test_make_and_ci_run_the_same_checks() -> None:
    makefile, run = read("Makefile"), read(".ci/run")
    for command in ("ruff check .", "ruff format --check .", "mypy"):
        assert f"\t{command}\n" in makefile
        assert re.search(rf'^stage "\w+" {re.escape(command)}$', run, re.MULTILINE)
    assert "\t.ci/run\n" in makefile
    site = "python -m sphinx -W --keep-going -q -b html docs"
    assert site.replace("python", "$(PYTHON)") in makefile
    assert site in run
    assert '\nstage "docs" documentation\n' in run


def test_the_workflow_calls_the_script() -> None:
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    runs = [
        step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step
    ]
    assert runs == [".ci/run", ".ci/run --newest"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_hooks_are_the_checks_of_the_script() -> None:
    (repository,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    entries = [" ".join(hook["entry"].split()[:2]) for hook in repository["hooks"]]
    assert entries == ["ruff check", "ruff format", "mypy"]


def test_the_changelog_has_this_version_and_the_rooms_that_modules_moved_to() -> None:
    changelog = read("CHANGELOG.md")
    assert re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)[0] == __version__
    rooms = {new.split(".")[0] for new in MOVED.values()}
    named = set(re.findall(r"`(?:keras_s2s\.)?(\w+)[.`]", changelog))
    assert len(rooms) >= 10
    assert rooms - named == set()
