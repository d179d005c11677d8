"""Every file that the documentation and the comments name exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_models import COMPILES

# No backend has a part in this.
pytestmark = [pytest.mark.slow] if COMPILES else []

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "keras_s2s"

# Without what a build of the site has made of other pages.
DOCS = [path for path in (ROOT / "docs").rglob("*.md") if "generated" not in path.parts]
PAGES = sorted([*ROOT.glob("*.md"), *DOCS, *(ROOT / "benchmarks").glob("*.md")])
CODE = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "zoo").rglob("*.yaml")])

#: Folders at the top and rooms of the package: a path that begins with one of them is ours.
OURS = {path.name for place in (ROOT, PACKAGE) for path in place.iterdir() if path.is_dir()}

# One word of inline code; what a path is made of, and stars.
INLINE = re.compile(r"(?<!`)`([\w.*-]+(?:/[\w.*-]*)*)`(?!`)")
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)(?:#[\w-]*)?\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# In code: a file in a folder, named in a comment, a docstring or a message.
IN_CODE = re.compile(r"(?<![\w/.{}-])([a-z_]\w*(?:/[\w*-]+)+\.(?:py|md|ipynb|yaml))\b")


def named_paths(text: str) -> Iterator[str]:
    """Paths within the project that a page names in inline code."""
    for name in INLINE.findall(FENCED.sub("", text)):
        if name.endswith(".py") or ("/" in name and name.split("/")[0] in OURS):
            yield name


def exists(name: str, *places: Path) -> bool:
    """Whether a file or folder has this name; `NAME` stands for any."""
    pattern = name.rstrip("/").replace("NAME", "*")
    return any(any(place.glob(pattern)) for place in places)


def missing(page: Path, text: str) -> list[str]:
    """What a page names or links to and does not exist."""
    places = [ROOT, PACKAGE, page.parent]
    absent = [name for name in named_paths(text) if not exists(name, *places)]
    links = LINK.findall(FENCED.sub("", text))
    # A build makes the pages in `docs/generated/`; it fails where a link to them leads nowhere.
    made = ROOT / "docs" / "generated"
    targets = {link: (page.parent / link).resolve() for link in links}
    return absent + [
        link
        for link, target in targets.items()
        if not target.exists() and not target.is_relative_to(made)
    ]


def test_pages_name_files_that_exist() -> None:
    count = 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert missing(page, text) == [], page.relative_to(ROOT)
        count += len(list(named_paths(text)))
    assert count >= 100


def test_code_names_files_that_exist() -> None:
    count = 0
    for path in CODE:
        for name in IN_CODE.findall(path.read_text(encoding="utf-8")):
            # Files of users and of other libraries begin with other folders.
            if name.split("/")[0] in OURS:
                count += 1
                assert exists(name, ROOT, PACKAGE), f"{path.relative_to(ROOT)}: {name}"
    assert count >= 5


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`samplers/no_such.py`", ["samplers/no_such.py"]),
        ("`no_such.py`", ["no_such.py"]),
        ("`zoo/families/no_such.yaml`", ["zoo/families/no_such.yaml"]),
        ("`layers/no_such_room/`", ["layers/no_such_room/"]),
        ("`decoding/*_motor.py`", ["decoding/*_motor.py"]),
        ("[a page](docs/no_such.md#part)", ["docs/no_such.md"]),
        ("`samplers/strategies/beam.py`, `decoding/drivers/*_driver.py`, `zoo/families/`", []),
        ("`opus-mt-en-de/`, `config.json`, `hf://a/b`, [a page](docs/results.md)", []),
        ("```\n`samplers/no_such.py`\n```", []),
    ],
)
def test_a_missing_file_is_found(text: str, found: list[str]) -> None:
    assert missing(ROOT / "README.md", text) == found


#: What somebody who is new looks for first, and where the layout says that it is.
QUESTIONS = {
    "| beam search |": ("samplers/strategies/beam.py", "class Beam("),
    "the same on JAX": ("decoding/drivers/jax_driver.py", "lax.while_loop"),
    "| Marian's tensor names": ("zoo/families/marian.yaml", "huggingface:"),
    "reading a tokenizer of a Hugging Face folder": (
        "text/pretrained/auto.py",
        "def load_pretrained_tokenizers(",
    ),
    "default of a generation option |": ("options/generation.py", '"num_beams"'),
}


def test_the_architecture_says_where_things_are() -> None:
    lines = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").splitlines()
    for question, (name, content) in QUESTIONS.items():
        (line,) = [line for line in lines if line.startswith("|") and question in line]
        assert f"`{name}`" in line
        (path,) = [place / name for place in (ROOT, PACKAGE) if (place / name).exists()]
        assert content in path.read_text(encoding="utf-8")


def test_every_room_is_in_the_table_of_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("## Rooms")[2].partition("\n## ")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = {name.rstrip("/") for cell in first_cells for name in INLINE.findall(cell)}
    rooms = {
        path.name
        for path in PACKAGE.iterdir()
        if path.name not in ("__init__.py", "__main__.py", "callbacks.py", "__pycache__")
        and (path.is_dir() or path.suffix == ".py")
    }
    assert told - {"keras_s2s"} == rooms
