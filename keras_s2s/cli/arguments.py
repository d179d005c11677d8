"""Command-line arguments that several commands have in common, and their checks."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_s2s.catalog.model_formats import readable_sources
from keras_s2s.options.compute_types import COMPUTE_TYPES, check_name

HUB = "hf://"
#: How the names of Marian's files end.
MARIAN_FILES = (".npz", ".bin", ".decoder.yml", "decoder.yml")

ModelArgument = Annotated[
    str,
    typer.Argument(help=f"A model: {readable_sources(names_only=True)}."),
]
BatchSizeOption = Annotated[int, typer.Option(min=1, help="Texts decoded at a time.")]
OverlongOption = Annotated[
    str,
    typer.Option(
        help="What to do with a source that is longer than the model's positions: error, "
        "truncate, or split it at sentences and clauses."
    ),
]
ComputeTypeOption = Annotated[
    str | None,
    typer.Option(
        help=f"Compute matrix products in this type, on PyTorch on the CPU: "
        f"{', '.join(COMPUTE_TYPES)}. By default in that of the weights."
    ),
]
CudaGraphsOption = Annotated[
    bool,
    typer.Option("--cuda-graphs", help="Run steps as CUDA graphs, on PyTorch on an NVIDIA GPU."),
]


def check_files(
    model: str,
    inputs: Sequence[str | Path | None],
    output: Path | None,
    overlong: str,
    compute_type: str | None = None,
) -> None:
    """Checks the arguments of a command that generates texts, before a backend is imported.

    Args:
        model: as the user wrote it.
        inputs: files that are read; None and "-" are standard input.
        output: file that is written, or None.
        overlong: value of `--overlong`.
        compute_type: value of `--compute-type`.

    Raises:
        ValueError: the model, the output, `--overlong` or `--compute-type` cannot be used.
        OSError: an input cannot be read.
    """
    check_overlong(overlong)
    check_compute_type(compute_type)
    for path in inputs:
        check_input(path)
    check_output(output)
    check_model(model)


def load_text_model(model: str, **options: Any) -> Any:
    """Loads a model that reads and writes texts.

    Args:
        model: as the user wrote it.
        **options: of `from_preset`.

    Raises:
        ValueError: there is no such model, or its folder has no tokenizer files.
    """
    loaded = load_model(model, **options)
    check_text(loaded, model)
    return loaded


def check_model(model: str) -> None:
    """Raises an error, before a backend is imported, for what cannot be a model to generate with.

    Args:
        model: as the user wrote it: a folder, a model of Marian, a zoo entry that points to one,
            or `hf://organisation/name`.

    Raises:
        ValueError: nothing has that name (the message has the nearest), or the entry describes
            an architecture, which has no trained weights; the message says what to do.
    """
    from keras_s2s import catalog

    if model.startswith(HUB) or os.path.isdir(model):
        return
    if os.path.isfile(model) and model.endswith(MARIAN_FILES):
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
    if overlong not in ("error", "truncate", "split"):
        raise ValueError(f"--overlong {overlong}: expected error, truncate or split")


def check_compute_type(compute_type: str | None) -> None:
    """Raises an error for a value that `--compute-type` does not have."""
    check_name(compute_type, "--compute-type ")


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
