"""Every code block of the README and of the guides runs: in order, as it stands.

A page is one session, in an empty folder that holds what its blocks ask for. Python blocks share
their names; shell blocks run under `sh -e`, and a plain block after one is what it prints; a YAML
block is a file if its first line says so, and otherwise parts of a recipe.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from documentation import supplies
from rounded_types import is_here
from small_models import COMPILES

from keras_s2s.catalog import load_preset
from keras_s2s.config import DataConfig, DistillationConfig, TextConfig, TrainingConfig
from keras_s2s.preset_changes import with_changes
from keras_s2s.recipes.runner import load_splits

sybil = pytest.importorskip("sybil")
pytest.importorskip("transformers")

from sybil.evaluators.python import PythonEvaluator  # noqa: E402
from sybil.parsers.markdown import CodeBlockParser  # noqa: E402
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer  # noqa: E402

# A recipe is trained to its end, and the notebook's model too.
pytestmark = [pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]

#: Page with code -> its blocks, by language; "" is a plain one. Indented commands, as those of
#: results.md, record what was measured and are not run.
BLOCKS = {
    "README.md": {"python": 4, "bash": 5, "yaml": 3, "": 2},
    "docs/checkpoints.md": {"python": 5, "bash": 1, "yaml": 2, "": 2},
    "docs/documents.md": {"python": 1, "bash": 1},
    "docs/export.md": {"python": 3, "": 1},
    "docs/generation.md": {"python": 11, "bash": 1},
    "docs/index.md": {"python": 1},
    "docs/migration.md": {"python": 9},
    "docs/serving.md": {"bash": 1},
    "docs/training.md": {"python": 12, "yaml": 2},
    "docs/warm_start.md": {"python": 1},
}

#: What the suite sets for itself.
NOT_A_USERS = ("KERAS_BACKEND", "OMP_NUM_THREADS", "JAX_DISABLE_MOST_OPTIMIZATIONS")

FENCE = re.compile(r"^```([a-z]*)$", re.MULTILINE)


def test_every_page_is_known() -> None:
    docs = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
    # What a build of the site has made of other pages.
    pages = ["README.md", *(page for page in docs if not page.startswith("docs/generated/"))]
    assert len(pages) >= 10
    found: dict[str, dict[str, int]] = {}
    for page in sorted(pages):
        # Every second fence ends a block.
        languages = FENCE.findall((ROOT / page).read_text(encoding="utf-8"))[::2]
        found[page] = {name: languages.count(name) for name in languages}
    assert {page: blocks for page, blocks in found.items() if blocks} == BLOCKS


class Page:
    """How the blocks of a page are run.

    Attributes:
        printed: what the last shell block printed.
        ran: number of blocks run, by language.
    """

    def __init__(self, path: Path) -> None:
        self.printed: str | None = None
        self.ran: dict[str, int] = {}
        python = PythonEvaluator()
        evaluators = {"python": python, "bash": self.shell, "yaml": self.settings}
        parsers = [CodeBlockParser(name, evaluator) for name, evaluator in evaluators.items()]
        self.document = sybil.Sybil([*parsers, self.plain_blocks]).parse(path)

    def run(self) -> None:
        for example in self.document.examples():
            text = self.document.text[example.start : example.end]
            here = "compute_type=" not in text or is_here("int8")
            try:
                if here:  # else the processor lacks the instructions
                    example.evaluate()
            except Exception as error:
                error.add_note(f"in the code block at {example.path}:{example.line}")
                raise
            language = FENCE.match(text)
            assert language is not None
            self.ran[language[1]] = self.ran.get(language[1], 0) + 1

    def plain_blocks(self, document: Any) -> Iterator[Any]:
        for region in RawFencedCodeBlockLexer()(document):
            yield sybil.Region(region.start, region.end, region.lexemes["source"], self.plain)

    def shell(self, example: Any) -> None:
        # As a new user has it: the default backend, and every core.
        environment = {k: v for k, v in os.environ.items() if k not in NOT_A_USERS}
        done = subprocess.run(
            ["sh", "-e", "-c", str(example.parsed)],
            capture_output=True,
            text=True,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        self.printed = done.stdout

    def settings(self, example: Any) -> None:
        text = str(example.parsed)
        named = re.match(r"# ([\w/]+\.yaml)\n", text)
        if named:
            Path(named[1]).parent.mkdir(exist_ok=True)
            Path(named[1]).write_text(text, encoding="utf-8")
            return
        parts = yaml.safe_load(text)
        if "model" in parts:
            preset, architecture = load_preset(parts.pop("model")), parts.pop("architecture", {})
            with_changes(preset, architecture, None, origin="the page")
        kinds = {
            "data": DataConfig,
            "distillation": DistillationConfig,
            "text": TextConfig,
            "training": TrainingConfig,
        }
        for name, part in parts.items():
            kinds[name].model_validate(part)
        if "dir" in parts.get("data", {}):
            assert all(load_splits(DataConfig.model_validate(parts["data"]), seed=0).values())

    def plain(self, example: Any) -> None:
        text = str(example.parsed)
        commands = re.findall(r"^keras-s2s (\w+)", text, re.MULTILINE)
        if commands:
            for command in commands:
                subprocess.run(["keras-s2s", command, "--help"], check=True, capture_output=True)
        elif self.printed is not None:
            assert text == self.printed
        else:
            # A report with the figures of a real checkpoint: its first words are those of ours.
            report = str(example.namespace["model"].load_report)
            words = [line.split()[0] for line in text.splitlines()[1:]]
            assert words == [line.split()[0] for line in report.splitlines()[1:]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the supplies, as the current one."""
    here = tmp_path / "here"
    supplies.write_texts(here)
    supplies.write_texts(here / "FOLDER")
    supplies.write_halves(here)
    supplies.write_commands(tmp_path / "bin")
    supplies.fill_hub_cache(tmp_path / "hub", "google/flan-t5-small", "t5")
    supplies.fill_hub_cache(tmp_path / "hub", "facebook/bart-base", "bart")
    supplies.write_checkpoint("marian", here / "opus-mt-en-de")
    supplies.write_marian(here / "opus")
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]]))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return here


@pytest.mark.skipif(COMPILES, reason="once is enough")
@pytest.mark.parametrize("page", list(BLOCKS))
def test_blocks_run(page: str, place: Path) -> None:
    read = Page(ROOT / page)
    read.run()
    assert read.ran == BLOCKS[page]
