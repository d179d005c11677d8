"""A small run in a process of its own, which says what it does: `python killed_run.py FOLDER`.

`--resume` is that of a run; `--with-options` trains with all that a run keeps besides its weights.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from recipes.small_runs import keep_checkpoints, run

from keras_s2s import Seq2SeqLM
from keras_s2s.recipes import run_callbacks, runner
from keras_s2s.recipes.checkpoints import run_checkpoints

OPTIONS = (
    "training.ema=0.8",
    "training.average={last_checkpoints: 2}",
    "training.accumulate=2",
    "training.patience=2",
    "training.log_steps=2",
    "training.teacher_forcing={schedule: linear, choice: draw}",
)


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


def main(directory: Path, options: tuple[str, ...], resume: bool) -> None:
    patch = pytest.MonkeyPatch()
    keep_checkpoints(patch)
    patch.setattr(run_checkpoints, "_write", slowly)
    bar = run_callbacks.ProgressBar
    patch.setattr(bar, "on_train_batch_end", telling(bar.on_train_batch_end, "step"))
    patch.setattr(bar, "on_test_begin", telling(bar.on_test_begin, "validation"))
    patch.setattr(Seq2SeqLM, "save_to_preset", telling(Seq2SeqLM.save_to_preset, "saving"))
    patch.setattr(
        run_callbacks.LastEpochs, "average", telling(run_callbacks.LastEpochs.average, "averaging")
    )
    patch.setattr(runner, "measure", telling(runner.measure, "measuring"))
    run(directory, *options, resume=resume)
    tell("end")


if __name__ == "__main__":
    options = OPTIONS if "--with-options" in sys.argv else ()
    main(Path(sys.argv[1]), options, "--resume" in sys.argv)
