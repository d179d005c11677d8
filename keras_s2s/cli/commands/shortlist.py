"""`keras-s2s shortlist`: learns a shortlist of candidates from parallel text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_s2s.cli.arguments import ModelArgument, check_input, check_model, check_output
from keras_s2s.cli.messages import show_messages


def shortlist(
    model: ModelArgument,
    source: Annotated[Path, typer.Option(help="Sources, one a line; gzip as it is.")],
    target: Annotated[Path, typer.Option(help="Their translations, aligned by line.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The file: CTranslate2's form where it ends in .txt, else Marian's binary one.",
        ),
    ],
    first: Annotated[
        int, typer.Option(min=0, help="The most frequent ids, candidates of every source.")
    ] = 100,
    best: Annotated[int, typer.Option(min=1, help="Most candidates of an id of a source.")] = 100,
    iterations: Annotated[int, typer.Option(min=1, help="Steps of IBM model 1.")] = 5,
) -> None:
    """Learns which ids a source may be translated with, for --shortlist of generate and serve."""
    for path in (source, target):
        check_input(path)
    check_output(output)
    check_model(model)
    show_messages()
    from keras_s2s.checkpoints.sources import open_source
    from keras_s2s.data.files.pairs import read_aligned
    from keras_s2s.text.shortlists import learn_shortlist, write_shortlist

    with open_source(model, with_weights=False) as found:
        preprocessor = found.preprocessor
    if preprocessor is None:
        raise ValueError(f"{model}: the model has no tokenizer, which splits the texts")
    _, pairs = read_aligned(source, target)
    learnt = learn_shortlist(pairs, preprocessor, first=first, best=best, iterations=iterations)
    write_shortlist(output, learnt, preprocessor)
    typer.echo(f"{output}: {len(learnt.targets):,} candidates of {len(learnt.offsets) - 1:,} ids")
