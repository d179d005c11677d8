"""The notebooks run as they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keras_s2s.catalog import recipes_folder

NOTEBOOKS = sorted((recipes_folder() / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert "first_model.ipynb" in {path.name for path in NOTEBOOKS}


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    root = str(Path(__file__).resolve().parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    client = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs), "a picture is shown"
    exact = next(o["text"] for o in outputs if "exact match" in o.get("text", ""))
    assert float(exact.split(":")[1].strip().rstrip("%\n")) > 80
