"""The notebooks run as they are; their Korean twins have the same code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from documentation import supplies
from small_models import COMPILES

from keras_s2s.catalog import recipes_folder

# No backend has a part in what is quick.
pytestmark = [pytest.mark.slow] if COMPILES else []

NOTEBOOKS = sorted((recipes_folder() / "notebooks").glob("*.ipynb"))

#: Endings of the names of translations, whose code is that of the notebook before.
LANGUAGES = ("_ko",)
TWINS = [path for path in NOTEBOOKS if path.stem.endswith(LANGUAGES)]

#: Notebook -> the least exact match in per cent that it prints; None where it measures none, or
#: has a random checkpoint here.
EXACT_MATCH = {"attention": 95, "fine_tuning": None, "first_model": 80, "saved_model": None}


def cells(path: Path, kind: str) -> list[str]:
    """Texts of a notebook's cells of a kind."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_every_notebook_is_known() -> None:
    assert {path.stem for path in NOTEBOOKS if path not in TWINS} == set(EXACT_MATCH)
    assert {path.stem for path in TWINS} == {"first_model_ko", "attention_ko"}


@pytest.mark.parametrize("path", TWINS, ids=lambda path: path.stem)
def test_a_translation_has_the_code_of_its_original(path: Path) -> None:
    original = path.with_stem(path.stem.removesuffix("_ko"))
    assert cells(path, "code") == cells(original, "code")
    texts = cells(path, "markdown")
    assert len(texts) == len(cells(original, "markdown"))
    # Hangul syllables: no text was left in English.
    assert all(any("\uac00" <= c <= "\ud7a3" for c in text) for text in texts)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_without_outputs(path: Path) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    codes = [cell for cell in found if cell["cell_type"] == "code"]
    assert len(codes) >= 5
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in codes)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT_MATCH)
def test_a_notebook_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    if name == "fine_tuning":
        pytest.importorskip("transformers")
        supplies.fill_hub_cache(tmp_path / "hub", "google/flan-t5-small", "t5")
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    notebook = nbformat.read(recipes_folder() / "notebooks" / f"{name}.ipynb", as_version=4)
    root = str(Path(__file__).resolve().parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    client = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs), "a picture is shown"
    least = EXACT_MATCH[name]
    if least is not None:
        text = "".join(output.get("text", "") for output in outputs)
        exact = text.partition("exact match")[2].partition(":")[2].split()[0]
        assert float(exact.rstrip("%")) > least
