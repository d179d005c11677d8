"""Runs `python -m MODULE ARGUMENT ...` on some of the cores, as the workers run.

python -m serving_load.on_cores THREADS MODULE ARGUMENT ...
"""

from __future__ import annotations

import runpy
import sys

from generation.worker import keep_to_cores

if __name__ == "__main__":
    _, threads, module, *arguments = sys.argv
    keep_to_cores(int(threads))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
