"""The folder of a training run: its model, figures and results."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_s2s.atomic_writing import BESIDE
from keras_s2s.config import ConfigError
from keras_s2s.recipes.checkpoints.run_checkpoints import RunCheckpoints

RESULTS_FILE = "results.json"
RECIPE_FILE = "recipe.yaml"
RUN_FILE = "run.json"
METRICS_FILE = "metrics.jsonl"
CURVE_FILE = "learning_curve.png"
ATTENTION_FILE = "attention.png"
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"

#: What a model of our own has, and what models of other formats have.
OWN_MODEL = "preset.yaml"
OTHER_MODELS = (
    "config.json",
    "model.safetensors",
    "model.bin",
    "pytorch_model.bin",
    "tf_model.h5",
    "saved_model.pb",
)


def is_complete(directory: Path) -> bool:
    """Returns whether a run has ended in a folder, and none has begun since."""
    return (directory / RESULTS_FILE).is_file() and not (directory / CHECKPOINTS).exists()


def check_run_folder(directory: Path, *, overwrite: bool, resume: bool = False) -> bool:
    """Raises an error for a folder that a run cannot write to; returns whether it holds a model
    already that is not of this run.

    `checkpoints/` in it says that a run has begun and has not ended.

    Args:
        directory: the folder that the run writes into.
        overwrite: a model, or an unfinished run, may be replaced.
        resume: the run that has begun there goes on.

    Raises:
        ConfigError: both `overwrite` and `resume`; there is a model, or an unfinished run, that may
            not be replaced; a model of another format; to resume, a model that is of no unfinished
            run.
    """
    if overwrite and resume:
        raise ConfigError("--resume goes on with a run, --overwrite starts it anew; pass one")
    has_model = (directory / OWN_MODEL).is_file()
    has_begun = (directory / CHECKPOINTS).exists()
    has_checkpoint = bool(RunCheckpoints(directory / CHECKPOINTS).paths)
    if resume and (has_begun or is_complete(directory)):
        return has_model and not has_checkpoint
    if has_checkpoint and not overwrite:
        raise ConfigError(
            f"{directory} holds a run that has not ended; pass --resume to go on with it, "
            "--overwrite to start it anew, or choose another folder with --out"
        )
    if has_model:
        if overwrite:
            return True
        resumable = ", and no unfinished run to resume" if resume else ""
        raise ConfigError(
            f"{directory} holds a model already{resumable}; choose another folder with --out, or "
            "pass --overwrite to replace it"
        )
    other = [name for name in OTHER_MODELS if (directory / name).exists()]
    if other and not has_begun:
        raise ConfigError(
            f"{directory} holds a model of another format ({', '.join(other)}), which a run does "
            "not replace; choose another folder with --out"
        )
    return False


class RunFolder:
    """The folder of a training run.

    Args:
        directory: made where it is missing.
        overwrite: a model that is there may be replaced.
        resume: the run that has begun there goes on.
        keep: so many checkpoints are kept.

    Attributes:
        directory: the folder.
        has_earlier_model: whether it holds an earlier model, and none of this run yet.
        checkpoints: what an interrupted run goes on from.

    Raises:
        ConfigError: it holds a model that may not be replaced.
        OSError: it cannot be written.
    """

    def __init__(
        self, directory: Path, *, overwrite: bool, resume: bool = False, keep: int = 2
    ) -> None:
        for place in (directory, *directory.parents):
            if place.is_file():
                reason = f"cannot be written: {place} is a file; give a folder"
                raise NotADirectoryError(errno.ENOTDIR, reason, str(directory))
        self._read(directory, keep)
        self.has_earlier_model = check_run_folder(directory, overwrite=overwrite, resume=resume)
        with self._named_errors():
            missing = [p for p in (directory, *directory.parents) if not p.exists()]
            for path in reversed(missing):
                path.mkdir()
                self._made.insert(0, path)
            with tempfile.TemporaryFile(dir=directory):
                pass

    def _read(self, directory: Path, keep: int) -> None:
        """Sets what is known of a folder before it is written."""
        self.directory = directory
        self.has_earlier_model = False
        self.checkpoints = RunCheckpoints(directory / CHECKPOINTS, keep)
        self._made: list[Path] = []
        self._facts: str | None = None

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.leave()
            raise OSError(
                error.errno, f"cannot be written: {error.strerror}", str(self.directory)
            ) from None

    def begin(self) -> None:
        """Notes that training begins anew: checkpoints of a run before are removed, and what it
        wrote for TensorBoard.
        """
        self.clear_interrupted_saves()
        self.checkpoints.remove()
        self.checkpoints.directory.mkdir()
        shutil.rmtree(self.directory / TENSORBOARD, ignore_errors=True)

    def describe(self, recipe: str, facts: Mapping[str, Any]) -> None:
        """Writes the recipe and the facts of a run before it trains.

        While there is an earlier model, whose recipe the folder holds, this waits for `save`.

        Args:
            recipe: its text.
            facts: what `run.json` is to hold.
        """
        self._facts = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
        if not self.has_earlier_model:
            self.write(RECIPE_FILE, recipe)
            self.write(RUN_FILE, self._facts)

    def clear_interrupted_saves(self) -> bool:
        """Removes what a killed run had begun to write; returns whether that was a model.

        Files of the model before may be missing then.
        """
        self.checkpoints.remove_unfinished()
        for path in self.directory.glob(".*.tmp"):
            path.unlink(missing_ok=True)
        folders = list(self.directory.glob(f"{BESIDE}*"))
        for path in folders:
            shutil.rmtree(path, ignore_errors=True)
        return bool(folders)

    def save(self, write_model: Callable[[Path], None], recipe: str) -> None:
        """Writes a model of this run, and removes files of an earlier model.

        Args:
            write_model: writes it into a folder.
            recipe: the text of its recipe.
        """
        write_model(self.directory)
        self.write(RECIPE_FILE, recipe)
        if self.has_earlier_model:
            if self._facts is not None:
                self.write(RUN_FILE, self._facts)
            for name in (RESULTS_FILE, CURVE_FILE, ATTENTION_FILE, METRICS_FILE):
                (self.directory / name).unlink(missing_ok=True)
        self.has_earlier_model = False

    def write(self, name: str, text: str) -> None:
        """Writes a file so that it is never seen half-written."""
        beside = self.directory / f".{name}.tmp"
        beside.write_text(text, encoding="utf-8")
        beside.replace(self.directory / name)

    def leave(self) -> None:
        """Removes the folders that were made for this run and are still empty."""
        for path in self._made:
            with contextlib.suppress(OSError):
                path.rmdir()
