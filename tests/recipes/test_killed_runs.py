"""A run that SIGKILL ends at any moment, and that is resumed, ends as one never killed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from recipes.small_runs import assert_same_runs

SCRIPT = Path(__file__).with_name("killed_run.py")


def run_until(
    directory: Path, event: str, count: int, delay: float, options: tuple[str, ...] = ()
) -> bool:
    """Run, kill at the n-th `event` after `delay` seconds; returns whether the run had ended."""
    command = [sys.executable, str(SCRIPT), str(directory), "--resume", *options]
    places = [str(SCRIPT.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "end":
                process.wait()
                return True
            count -= line.strip() == event
            if count == 0:
                time.sleep(delay)
                process.kill()
                break
        process.wait()
    assert process.returncode in (0, -9), f"the run failed with {process.returncode}"
    return process.returncode == 0


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again(tmp_path: Path) -> None:
    draw = random.Random(7)
    undisturbed, directory = tmp_path / "undisturbed", tmp_path / "run"
    assert run_until(undisturbed, "never", 1, 0.0)
    kills = [
        ("step", 2, 0.0),  # before there is a checkpoint
        ("writing", 30, 0.0),
        ("step", draw.randint(3, 6), draw.random() / 50),
        ("validation", 1, draw.random() / 50),
        ("saving", 1, draw.random() / 50),
        ("writing", draw.randint(40, 150), draw.random() / 50),
        ("step", 4, draw.random() / 50),
        ("measuring", 1, 0.0),
    ]
    for event, count, delay in kills:
        if run_until(directory, event, count, delay):
            break
    while not run_until(directory, "never", 1, 0.0):
        pass
    assert_same_runs(directory, undisturbed)


@pytest.mark.slow
def test_a_killed_run_with_averages_and_accumulated_gradients(tmp_path: Path) -> None:
    options = ("--with-options",)
    undisturbed, directory = tmp_path / "undisturbed", tmp_path / "run"
    assert run_until(undisturbed, "never", 1, 0.0, options)
    kills = [
        ("step", 5, 0.01),  # after a checkpoint in the middle of a step of the optimiser
        ("validation", 1, 0.01),  # while the moving average is in the model
        ("writing", 100, 0.0),
        ("step", 9, 0.01),
        ("averaging", 1, 0.02),  # while the mean of the last epochs is made or saved
        ("measuring", 1, 0.0),
    ]
    for event, count, delay in kills:
        if run_until(directory, event, count, delay, options):
            break
    while not run_until(directory, "never", 1, 0.0, options):
        pass
    assert_same_runs(directory, undisturbed)
    lines = [
        [
            {k: v for k, v in json.loads(line).items() if k not in ("seconds", "tokens_per_second")}
            for line in (path / "metrics.jsonl").read_text().splitlines()
        ]
        for path in (directory, undisturbed)
    ]
    assert lines[0] == lines[1]
