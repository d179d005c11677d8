"""A fresh installation gets the versions that the tests passed with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from small_models import COMPILES

# No backend has a part in this.
pytestmark = [pytest.mark.slow] if COMPILES else []

ROOT = Path(__file__).resolve().parents[1]

#: What answers are compared with, or called by names that are not public. Another minor version
#: may compute something else.
BOUNDED = {"keras", "transformers", "ctranslate2", "keras-nlp", "torch"}


#: Extras that `all` leaves out, so that the suite runs without them and constraints.txt has no
#: version of theirs.
LEFT_OUT = {"ray"}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements() -> list[Requirement]:
    extras = project()["optional-dependencies"]
    listed = [project()["dependencies"], *(extras[name] for name in extras.keys() - LEFT_OUT)]
    found = [Requirement(entry) for entries in listed for entry in entries]
    return [entry for entry in found if entry.name != "keras_s2s"]


def constraints() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    named = dict(pin.split("==") for pin in pins)
    return {canonicalize_name(name): Version(version) for name, version in named.items()}


def test_all_has_every_extra_but_those_left_out() -> None:
    extras = project()["optional-dependencies"]
    (everything,) = (Requirement(e) for e in extras["all"] if e.startswith("keras_s2s["))
    # `serve` has `documents`, and `all` names both.
    assert extras.keys() - everything.extras == {*LEFT_OUT, "all"}


def test_every_dependency_has_an_exact_version() -> None:
    pins = constraints()
    assert len(pins) > 100
    for entry in requirements():
        assert pins[canonicalize_name(entry.name)] in entry.specifier, entry


def test_what_is_compared_with_has_an_upper_bound() -> None:
    pins = constraints()
    found = set()
    for entry in requirements():
        if entry.name not in BOUNDED:
            continue
        found.add(entry.name)
        now = pins[canonicalize_name(entry.name)]
        following = Version(f"{now.major}.{now.minor + 1}.0")
        assert following not in entry.specifier, f"{entry}: {following} would be taken unseen"
    assert found == BOUNDED


def test_the_readme_installs_with_the_constraints() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^pip install -e .*$", readme, re.MULTILINE)
    assert len(commands) == 2
    assert all("-c constraints.txt" in command for command in commands)
