"""The benchmark of prompt lookup: its texts and its arithmetic, and a small run from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
from small_models import slow_where_compiled

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import prompt_lookup  # noqa: E402


@slow_where_compiled
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_share_of_each_result_stands_in_its_source(share: float) -> None:
    rng = np.random.default_rng(3)
    copied = total = 0
    for _ in range(60):
        source, target = prompt_lookup.pair(rng, 30_000, 100, share, 5.0)
        assert len(target) == 100 and source[-1] == prompt_lookup.EOS
        blocks = SequenceMatcher(None, source, target, autojunk=False).get_matching_blocks()
        copied += sum(block.size for block in blocks)
        total += len(target)
    assert abs(copied / total - share) < 0.07


@slow_where_compiled
def test_the_table_has_medians_and_ratios_within_rounds() -> None:
    cell = {
        "share": 0.5,
        "rows": 8,
        "drafts": 3,
        "greedy": [0.2, 0.4, 0.3],
        "lookup": [0.1, 0.1, 0.3],
    }
    last = prompt_lookup.table([cell]).splitlines()[-1]
    assert last == "| 50% | 8 | 3 | 300 | 100 | 2.00 |"


@pytest.mark.slow
def test_a_small_run(tmp_path: Path) -> None:
    """In a process of its own: it chooses the backend."""
    output = tmp_path / "found.json"
    options = ["--size", "tiny", "--rows", "1,2", "--drafts", "2", "--steps", "9", "--rounds", "2"]
    ran = subprocess.run(
        [sys.executable, str(BENCHMARKS / "prompt_lookup.py"), *options, "--output", str(output)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(output.read_text(encoding="utf-8"))
    assert len(found["cells"]) == 4
    assert all(len(cell["lookup"]) == len(cell["greedy"]) == 2 for cell in found["cells"])
    assert len(ran.stdout.splitlines()) == 2 + 4
