"""`keras-s2s train`: run a recipe."""

from __future__ import annotations

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
) -> None:
    """Train a model by a recipe; print sample answers and, on the last line, JSON metrics.

    The folder holds the best epoch as a preset, and results.json. Ctrl-C leaves the best model
    so far.
    """
    from keras_s2s import catalog

    config = catalog.load_recipe(recipe, settings or [])
    import_backend()
    show_messages()
    from keras_s2s.model import Seq2SeqLM
    from keras_s2s.training.recipe import run_recipe

    folder = out or Path("runs") / Path(recipe).stem
    run_recipe(config, folder, make_model=Seq2SeqLM.from_preset)
