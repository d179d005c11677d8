"""The documentation site: pages of the zoo, and a reference of every public name."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from small_models import COMPILES

import keras_s2s
from keras_s2s import catalog

# No backend has a part in this.
pytestmark = [pytest.mark.slow] if COMPILES else []

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def made_pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("made_pages", DOCS / "made_pages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_preset_and_its_family_has_a_page(made_pages: ModuleType) -> None:
    pages = made_pages.zoo_pages()
    names = catalog.list_presets()
    assert len(names) >= 60
    for name in names:
        page = pages[catalog.load_entry(name).family]
        text = (catalog.zoo_folder() / "presets" / f"{name}.yaml").read_text("utf-8")
        assert f"\n## {name}\n" in page
        assert text.rstrip() in page
    assert set(pages) == {"index", *(catalog.load_entry(name).family for name in names)}
    assert all(f"({family}.md)" in pages["index"] for family in set(pages) - {"index"})


def test_a_row_of_every_table_has_the_cells_of_its_head(made_pages: ModuleType) -> None:
    pages = [*made_pages.zoo_pages().values()]
    pages += [path.read_text("utf-8") for path in DOCS.rglob("*.md")]
    tables = 0
    for page in pages:
        for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
            # A bar inside of inline code ends a cell all the same, unless it is escaped.
            cells = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
            assert len(cells) == 1, table
            tables += 1
    assert tables >= 40


def test_links_of_the_readme_lead_to_pages_of_the_site(
    made_pages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made_pages, "ROOT", tmp_path)
    page = tmp_path / "docs" / "generated" / "page.md"
    made_pages._write(
        page, "[a](docs/results.md#x) [b](recipes/notebooks/n.ipynb) [c](https://d.e)"
    )
    assert page.read_text() == "[a](../results.md#x) [b](notebooks/n.ipynb) [c](https://d.e)"


def test_the_reference_has_every_public_name() -> None:
    text = "".join(path.read_text("utf-8") for path in (DOCS / "reference").glob("*.rst"))
    found = re.findall(r"^\.\. auto\w+:: keras_s2s\.(\w+)$", text, re.MULTILINE)
    assert sorted(found) == sorted(name for name in keras_s2s.__all__ if name != "__version__")
