"""A small run in one of several processes: `python parallel_run.py FOLDER CHANGES`.

CHANGES is a JSON list of settings. `--resume` is that of a run; `--stop` ends it at a step.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from recipes.small_runs import keep_checkpoints, run
from recipes.test_resuming import Stopped, stop_after

if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        keep_checkpoints(patch)
        if "--stop" in sys.argv:
            stop_after(patch, "on_train_batch_end", 11)
        try:
            report = run(Path(sys.argv[1]), *json.loads(sys.argv[2]), resume="--resume" in sys.argv)
        except Stopped:
            sys.exit(7)
    print(json.dumps(report))
