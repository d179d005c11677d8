"""Pages of the site that are made of other files, when a build begins.

| page | made of |
| --- | --- |
| `quick_start.md` | sections of README.md |
| `changelog.md`, `contributing.md` | CHANGELOG.md, CONTRIBUTING.md |
| `notebooks/NAME.ipynb` | recipes/notebooks/ |
| `zoo/index.md`, `zoo/FAMILY.md` | zoo/families/ and zoo/presets/ |
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from keras_s2s import catalog
from keras_s2s.config import PresetConfig

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\((?!\w+:)([^)#]+)")

#: Sections of the README that are no part of the quick start.
NOT_QUICK = ("## Where things are\n", "## Tests\n", "## Licence\n")


def write(folder: Path) -> None:
    """Writes all pages into `folder`, which is emptied before."""
    shutil.rmtree(folder, ignore_errors=True)
    notebooks = folder / "notebooks"
    notebooks.mkdir(parents=True)
    for path in sorted((ROOT / "recipes" / "notebooks").glob("*.ipynb")):
        shutil.copy(path, notebooks)
    _write(folder / "quick_start.md", quick_start((ROOT / "README.md").read_text("utf-8")))
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        if (ROOT / name).exists():
            _write(folder / name.lower(), (ROOT / name).read_text("utf-8"))
    for name, text in zoo_pages().items():
        _write(folder / "zoo" / f"{name}.md", text)


def _write(path: Path, text: str) -> None:
    """Writes a page whose links are those of a page at the top of the project."""
    depth = len(path.relative_to(ROOT / "docs").parts) - 1

    def moved(link: re.Match[str]) -> str:
        target = link[1]
        if target.startswith("docs/"):
            target = "../" * depth + target.removeprefix("docs/")
        elif target.startswith("recipes/notebooks/"):
            target = target.removeprefix("recipes/")
        elif target in ("CHANGELOG.md", "CONTRIBUTING.md"):
            target = target.lower()
        return f"]({target}"

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(LINK.sub(moved, text), encoding="utf-8")


def quick_start(readme: str) -> str:
    """The sections of the README that show how the package is used, as a page of its own."""
    title, *sections = re.split(r"^(?=## )", readme, flags=re.MULTILINE)
    assert title.startswith("# keras_s2s")
    shown = [text for text in sections if not text.startswith(NOT_QUICK)]
    assert len(shown) == len(sections) - len(NOT_QUICK), "a section was renamed"
    return "# Quick start\n\n" + "".join(shown)


# --------------------------------------------------------------------------------------
# The zoo
# --------------------------------------------------------------------------------------


ZOO_INDEX = """# Zoo

A family says how the blocks of its models are put together, and what other libraries call their
settings and tensors; a preset is one model. Both are YAML files, shown here as they are.
`from_preset` takes a preset by its name, and `keras-s2s zoo show NAME` prints every setting of one,
with its meaning.

{table}

:::{{toctree}}
:hidden:

{names}
:::
"""


def zoo_pages() -> dict[str, str]:
    """An index and a page for each family: its presets, and the files as they are."""
    groups: dict[str, list[str]] = {}
    for name in catalog.list_presets():
        groups.setdefault(catalog.load_entry(name).family or "", []).append(name)
    pages = {family: _family_page(family, names) for family, names in sorted(groups.items())}
    rows = [
        (f"[{family}]({family}.md)", catalog.load_family(family)["description"], str(len(names)))
        for family, names in sorted(groups.items())
    ]
    table = _table(("family", "what it is", "presets"), rows)
    pages["index"] = ZOO_INDEX.format(table="\n".join(table), names="\n".join(sorted(groups)))
    return pages


def _family_page(family: str, names: list[str]) -> str:
    about = catalog.load_family(family)
    lines = [f"# {family}", "", about["description"]]
    if "paper" in about:
        lines += ["", about["paper"] + "."]
    lines += ["", *_table(("preset", "parameters", "license", "weights"), map(_row, names))]
    for name in names:
        entry = catalog.load_entry(name)
        lines += ["", f"## {name}", "", entry.description, ""]
        lines += [f"`zoo/presets/{name}.yaml`", "", *_file("presets", name)]
    lines += ["", "## The family", "", f"`zoo/families/{family}.yaml`", ""]
    lines += [*_file("families", family), ""]
    return "\n".join(lines)


def _row(name: str) -> tuple[str, ...]:
    entry = catalog.load_entry(name)
    count = entry.parameters if isinstance(entry, PresetConfig) else None
    source = (entry.source or "").removeprefix("hf://")
    return (
        f"[{name}](#{name.replace('_', '-')})",
        "" if count is None else f"{count:,}",
        entry.license or "",
        f"[{source}](https://huggingface.co/{source})" if source else "random",
    )


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [columns, ("---",) * len(columns), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _file(folder: str, name: str) -> list[str]:
    text = (catalog.zoo_folder() / folder / f"{name}.yaml").read_text("utf-8")
    return ["```yaml", text.rstrip("\n"), "```"]
