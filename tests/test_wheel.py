"""The built wheel holds the zoo and the recipes, and works outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from small_models import slow_where_compiled

CHECKOUT = Path(__file__).resolve().parents[1]

# One interpreter start, because it loads a backend.
PROGRAM = """
import keras_s2s
from keras_s2s import catalog
from keras_s2s.cli import main

print(keras_s2s.__file__)
print(catalog.zoo_folder())
print(catalog.recipes_folder())
print(*catalog.list_recipes())
for recipe in catalog.list_recipes():
    catalog.load_recipe(recipe)
for preset in catalog.list_presets():
    catalog.load_entry(preset)
raise SystemExit(main(["zoo", "list"]))
"""


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built with what is installed: nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", CHECKOUT, "--wheel-dir", folder]
    run(*build, "--no-deps", "--no-build-isolation", "--quiet", cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder that holds the installed wheel."""
    folder = tmp_path_factory.mktemp("installed")
    install = [sys.executable, "-m", "pip", "install", "--target", folder, wheel]
    run(*install, "--no-deps", "--no-index", "--quiet", cwd=folder)
    return folder


def shipped(folder: str) -> set[str]:
    """Files of a top-level folder that belong to the project."""
    root = CHECKOUT / folder
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and ".ipynb_checkpoints" not in path.parts
    }


def test_wheel_holds_package_zoo_and_recipes(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {name for name in shipped("keras_s2s") if name.endswith(".py")}
    zoo, recipes = shipped("zoo"), shipped("recipes")
    assert (len(modules) >= 50, len(zoo) >= 11, len(recipes) >= 2) == (True, True, True)
    assert {f"keras_s2s/{name}" for name in modules} <= names
    page = shipped("keras_s2s/serving/page")
    assert len(page) >= 8 and "index.html" in page
    assert {f"keras_s2s/serving/page/{name}" for name in page} <= names
    assert "keras_s2s/py.typed" in names, "a type checker would pass over all annotations"
    assert {f"keras_s2s/_zoo/{name}" for name in zoo} <= names
    assert {f"keras_s2s/_recipes/{name}" for name in recipes} <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"keras_s2s"}


@slow_where_compiled
def test_a_type_checker_sees_the_annotations_of_an_installed_package(installed, tmp_path):
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    program.write_text("from keras_s2s.samplers import Beam\n\nBeam(num_beams='two')\n")
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=tmp_path)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "keras_s2s").symlink_to(installed / "keras_s2s")
    interpreter = environment / "bin" / "python"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--python-executable", interpreter, program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    wanted = 'program.py:3: error: Argument "num_beams" to "Beam" has incompatible type "str"'
    assert wanted in done.stdout, done.stdout


def test_wheel_names_and_holds_the_licence(wheel):
    archive = zipfile.ZipFile(wheel)
    (folder,) = {name.partition("/")[0] for name in archive.namelist() if ".dist-info" in name}
    metadata = archive.read(f"{folder}/METADATA").decode("utf-8")
    assert "License-Expression: Apache-2.0\n" in metadata
    text = archive.read(f"{folder}/licenses/LICENSE").decode("utf-8")
    assert text == (CHECKOUT / "LICENSE").read_text(encoding="utf-8")
    # The clauses are numbered 1 to 9; what the appendix shows is left to be filled in.
    assert [number for number in range(1, 12) if f"\n   {number}. " in text] == [*range(1, 10)]
    assert "Version 2.0, January 2004" in text


def test_zoo_and_recipes_are_found_outside_the_checkout(installed, tmp_path):
    output = run(sys.executable, "-c", PROGRAM, cwd=tmp_path, PYTHONPATH=str(installed))
    package, zoo, recipes, names, *table = output.splitlines()
    home = (installed / "keras_s2s").resolve()
    assert Path(package).resolve() == home / "__init__.py"
    assert (Path(zoo), Path(recipes)) == (home / "_zoo", home / "_recipes")
    assert {"dates", "multi30k_en_de"} <= set(names.split())
    listed = {line.split()[0] for line in table if line}
    assert {"gru_bahdanau", "lstm_seq2seq", "transformer_base", "opus_mt_en_de"} <= listed
    assert len(listed) >= 60


@slow_where_compiled
def test_console_script_runs_outside_the_checkout(installed, tmp_path):
    (script,) = [path for path in (installed / "bin").iterdir() if path.stem == "keras-s2s"]
    output = run(script, "zoo", "show", "gru_bahdanau", cwd=tmp_path, PYTHONPATH=str(installed))
    assert "architecture.decoder.attention" in output
    assert str((installed / "keras_s2s" / "_zoo").resolve()) in output
