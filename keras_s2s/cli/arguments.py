"""Checks of command-line arguments that several commands have in common."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

HUB = "hf://"


def check_model(model: str) -> None:
    """Raises an error, before a backend is imported, for what cannot be a model to generate with.

    Args:
        model: as the user wrote it: a folder, a zoo entry that points to one, or
            `hf://organisation/name`.

    Raises:
        ValueError: nothing has that name (the message has the nearest), or the entry describes
            an architecture, which has no trained weights; the message says what to do.
    """
    from keras_s2s import catalog

    if model.startswith(HUB) or os.path.isdir(model):
        return
    if not catalog.is_entry(model):
        raise catalog.no_such_model(model)
    # A file that is missing or broken is an error of its own.
    if catalog.load_entry(model).source is None:
        raise ValueError(
            f"{model} describes an architecture and has no trained weights; train it first: "
            f"keras-s2s train RECIPE --set model={model} --out FOLDER, with a recipe of your "
            f"own or one of {', '.join(catalog.list_recipes())}; then give that FOLDER"
        )


def load_model(model: str, **options: Any) -> Any:
    """Loads the model of a folder, or of a zoo entry that points to one.

    Args:
        model: as the user wrote it; see `check_model`.
        **options: of `from_preset`.

    Raises:
        ValueError: there is no such model.
    """
    from keras_s2s.model import Seq2SeqLM

    check_model(model)
    return Seq2SeqLM.from_preset(model, **options)


def check_text(network: Any, model: str) -> None:
    """Raises an error for a model that cannot read text.

    Raises:
        ValueError: its folder has no tokenizer files.
    """
    if network.preprocessor is None:
        raise ValueError(
            f"{model} has no tokenizer files, so it reads and writes ids alone; put them into the "
            "folder, or use the model from Python with ids"
        )


def check_input(path: str | Path | None) -> None:
    """Raises an error for a file that cannot be read, before any work is done for it.

    Raises:
        OSError: there is none, or it is a folder.
    """
    if path is None or path == "-":
        return
    if not os.path.exists(path):
        packed = f"{path}.gz"
        hint = f"; there is a {packed}" if os.path.exists(packed) else ""
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT) + hint, str(path))
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


def check_overlong(overlong: str) -> None:
    """Raises an error for a value that `--overlong` does not have."""
    if overlong not in ("error", "truncate"):
        raise ValueError(f"--overlong {overlong}: expected error or truncate")


def check_output(path: Path | None) -> None:
    """Raises an error for a file that cannot be written, before any work is done for it.

    Raises:
        ValueError: its folder does not exist, or it is a folder itself.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise ValueError(f"--output {path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise ValueError(f"--output {path}: that is a folder; give the path of a file")
