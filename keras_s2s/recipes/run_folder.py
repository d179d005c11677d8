"""The folder of a training run: its model, figures and results."""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from keras_s2s.config import ConfigError

RESULTS_FILE = "results.json"
RECIPE_FILE = "recipe.yaml"
CURVE_FILE = "learning_curve.png"
ATTENTION_FILE = "attention.png"

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


def check_run_folder(directory: Path, *, overwrite: bool) -> bool:
    """Raises an error for a folder that a run cannot write to; returns whether it holds a model
    already.

    Args:
        directory: the folder that the run writes into.
        overwrite: a model may be replaced.

    Raises:
        ConfigError: there is a model that may not be replaced, or one of another format.
    """
    if (directory / OWN_MODEL).is_file():
        if overwrite:
            return True
        raise ConfigError(
            f"{directory} holds a model already; choose another folder with --out, or pass "
            "--overwrite to replace it"
        )
    other = [name for name in OTHER_MODELS if (directory / name).exists()]
    if other:
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

    Attributes:
        directory: the folder.
        has_earlier_model: whether it holds an earlier model, and none of this run yet.

    Raises:
        ConfigError: it holds a model that may not be replaced.
        OSError: it cannot be written.
    """

    def __init__(self, directory: Path, *, overwrite: bool) -> None:
        for place in (directory, *directory.parents):
            if place.is_file():
                reason = f"cannot be written: {place} is a file; give a folder"
                raise NotADirectoryError(errno.ENOTDIR, reason, str(directory))
        self.directory = directory
        self.has_earlier_model = check_run_folder(directory, overwrite=overwrite)
        self._made: list[Path] = []
        with self._named_errors():
            missing = [p for p in (directory, *directory.parents) if not p.exists()]
            for path in reversed(missing):
                path.mkdir()
                self._made.insert(0, path)
            with tempfile.TemporaryFile(dir=directory):
                pass

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.leave()
            raise OSError(
                error.errno, f"cannot be written: {error.strerror}", str(self.directory)
            ) from None

    def save(self, write_model: Callable[[Path], None], recipe: str) -> None:
        """Writes a model of this run, and removes files of an earlier model.

        Args:
            write_model: writes it into a folder.
            recipe: the text of its recipe.
        """
        write_model(self.directory)
        self.write(RECIPE_FILE, recipe)
        if self.has_earlier_model:
            for name in (RESULTS_FILE, CURVE_FILE, ATTENTION_FILE):
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
