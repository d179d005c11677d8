"""`keras-s2s train`: runs a recipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from keras_s2s.cli.messages import show_messages
from keras_s2s.cli.quiet import import_backend


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or the path of a YAML file.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the model and its results; default runs/RECIPE."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting to change, e.g. data.dir=FOLDER; may be repeated."),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace a model or an unfinished run that the folder holds."
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the run in the folder from its latest checkpoint; with the same "
            "recipe and data it ends as if it had never stopped.",
        ),
    ] = False,
) -> None:
    """Trains a model by a recipe; prints sample texts and a summary.

    The folder holds the best epoch as a preset, and results.json. The summary is JSON on the last
    line where standard output is no terminal. Ctrl-C leaves the best model so far, and checkpoints
    that --resume goes on from.
    """
    from keras_s2s import catalog
    from keras_s2s.recipes.records.run_folder import check_run_folder

    config = catalog.load_recipe(recipe, settings or [])
    folder = out or Path("runs") / Path(recipe).stem
    # Of several processes (training.data_parallel on PyTorch) the first one writes the folder, and
    # may have begun to.
    if config.training.data_parallel == 1 or os.environ.get("RANK", "0") == "0":
        check_run_folder(folder, overwrite=overwrite, resume=resume)
    import_backend()
    show_messages()
    from keras_s2s.model import Seq2SeqLM
    from keras_s2s.recipes.runner import run_recipe

    run_recipe(
        config,
        folder,
        make_model=Seq2SeqLM.from_preset,
        warm_start=Seq2SeqLM.from_encoder_decoder,
        overwrite=overwrite,
        resume=resume,
    )
