"""What a result depends on besides its recipe: versions of libraries, and the state of the code."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import keras

from keras_s2s.recipes.progress import Progress
from keras_s2s.version import __version__


def versions() -> dict[str, str]:
    """Returns the versions of the libraries that a result depends on."""
    names = ("keras", "tensorflow", "jax", "torch", "numpy", "sentencepiece", "sacrebleu", "babel")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state() -> dict[str, Any] | None:
    """Returns the commit of the current folder, and whether its files differ from it.

    Files that git does not know, such as those of the run itself, do not count, as in
    `git describe --dirty`.

    Returns:
        `{"commit": ..., "is_dirty": ...}`; None where the folder is no git checkout, or where git
        is not installed.
    """
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None:
        return None
    return {"commit": commit, "is_dirty": bool(changes)}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def piece(progress: Progress) -> dict[str, Any]:
    """Returns when, and after how much of a run, this process has begun to work on it."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "epochs_done": progress.first_epoch,
        "steps_done": progress.first_step,
    }


def run_facts(seed: int, pieces: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns what `run.json` holds.

    Args:
        seed: of the recipe.
        pieces: of the run, each as `piece` returns it.
    """
    return {
        "keras_s2s": __version__,
        "seed": seed,
        "backend": keras.backend.backend(),
        "dtype": keras.config.dtype_policy().name,
        "versions": versions(),
        "platform": platform.platform(),
        "git": git_state(),
        "pieces": list(pieces),
    }
