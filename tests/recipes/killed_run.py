"""A small run in a process of its own, which says what it does: `python killed_run.py FOLDER`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from recipes.small_runs import keep_checkpoints, run

from keras_s2s import Seq2SeqLM
from keras_s2s.recipes import run_checkpoints, runner


def tell(event: str) -> None:
    print(event, flush=True)


def telling(function: Any, event: str) -> Any:
    def told(*arguments: Any, **keywords: Any) -> Any:
        tell(event)
        return function(*arguments, **keywords)

    return told


def slowly(file: Any, content: bytes) -> None:
    """Leave time to be killed in the middle of a file."""
    half = len(content) // 2
    file.write(content[:half])
    file.flush()
    tell("writing")
    time.sleep(0.002)
    file.write(content[half:])


def main(directory: Path, resume: bool) -> None:
    patch = pytest.MonkeyPatch()
    keep_checkpoints(patch)
    patch.setattr(run_checkpoints, "_write", slowly)
    bar = runner.ProgressBar
    patch.setattr(bar, "on_train_batch_end", telling(bar.on_train_batch_end, "step"))
    patch.setattr(bar, "on_test_begin", telling(bar.on_test_begin, "validation"))
    patch.setattr(Seq2SeqLM, "save_to_preset", telling(Seq2SeqLM.save_to_preset, "saving"))
    patch.setattr(runner, "measure", telling(runner.measure, "measuring"))
    run(directory, resume=resume)
    tell("end")


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--resume" in sys.argv)
