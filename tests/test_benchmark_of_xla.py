"""The benchmark of XLA in SavedModels: its arithmetic by hand, and a small run from end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_models import COMPILES

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import xla_export  # noqa: E402


def test_the_table_has_medians_and_ratios_within_rounds() -> None:
    cell = {
        "size": "tiny",
        "rows": 8,
        "plain": {"first": 1.0, "seconds": [0.2, 0.4, 0.3]},
        "xla": {"first": 2.34, "seconds": [0.1, 0.1, 0.3]},
        "equal": 8,
    }
    last = xla_export.table([cell]).splitlines()[-1]
    assert last == "| tiny | 8 | 300 | 100 | 2.00 | 2.3 | 8 |"


@pytest.mark.slow
@pytest.mark.skipif(COMPILES, reason="it runs TensorFlow in a process of its own")
def test_a_small_run(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow_text")
    output = tmp_path / "found.json"
    options = ["--sizes", "tiny", "--rows", "1,2", "--beams", "2", "--steps", "3", "--rounds", "2"]
    ran = subprocess.run(
        [sys.executable, str(BENCHMARKS / "xla_export.py"), *options, "--output", str(output)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout.splitlines()[-1].startswith("| tiny | 2 | ")
    cells = json.loads(output.read_text())["cells"]
    assert [(cell["rows"], cell["equal"]) for cell in cells] == [(1, 1), (2, 2)]
    assert all(len(cell[name]["seconds"]) == 2 for cell in cells for name in ("plain", "xla"))
