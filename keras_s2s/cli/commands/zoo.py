"""`keras-s2s zoo`: lists the presets of the zoo, and shows every setting of one."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    help="The model zoo: list the presets, or show one with every setting.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_command(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As docs/presets.md has it, with descriptions.")
    ] = False,
) -> None:
    """Lists the presets: architectures to train, then public checkpoints by family."""
    from keras_s2s.cli.zoo_tables import print_markdown, print_zoo

    if markdown:
        print_markdown()
    else:
        print_zoo()


@app.command("show")
def show_command(
    name: Annotated[str, typer.Argument(help="A preset's name, or the path of a YAML file.")],
) -> None:
    """Shows one preset: every setting with its value and meaning, defaults and bases resolved."""
    from keras_s2s.cli.zoo_tables import print_preset

    print_preset(name)
