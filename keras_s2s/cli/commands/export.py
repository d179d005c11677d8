"""`keras-s2s export`: writes a model for another engine, for TensorFlow Serving by default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from keras_s2s.cli.arguments import ModelArgument, check_model, load_model
from keras_s2s.cli.generation_options import (
    call_options,
    read_generation_options,
    takes_generation_options,
)
from keras_s2s.cli.messages import show_messages
from keras_s2s.cli.quiet import import_backend

#: Formats of `model.export`, written out so that `--help` imports nothing.
FORMATS = ("tf_saved_model", "huggingface", "ctranslate2", "marian", "torch_rnn")


@takes_generation_options
def export(
    model: ModelArgument,
    directory: Annotated[Path, typer.Argument(help="The folder to write.")],
    format: Annotated[
        str, typer.Option("--format", help=f"The format to write: {', '.join(FORMATS)}.")
    ] = FORMATS[0],
    version: Annotated[
        int | None,
        typer.Option(min=0, help="Write DIRECTORY/VERSION, as TensorFlow Serving looks for it."),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Type of the weights, e.g. bfloat16; default: float32.")
    ] = None,
    src_lang: Annotated[
        str | None, typer.Option(help="The default language of sources, of what is written.")
    ] = None,
    tgt_lang: Annotated[
        str | None, typer.Option(help="The default language of targets, of what is written.")
    ] = None,
    text: Annotated[
        bool,
        typer.Option(
            "--text/--ids",
            help="Of a SavedModel: with the tokenizers, or from ids to ids.",
        ),
    ] = True,
    truncate: Annotated[
        bool,
        typer.Option("--truncate", help="Of a SavedModel: cut sources that are too long."),
    ] = False,
    cross_attention: Annotated[
        bool,
        typer.Option("--cross-attention", help="Of a SavedModel: return attention, too."),
    ] = False,
    xla: Annotated[
        bool,
        typer.Option("--xla", help="Of a SavedModel: let XLA compile the search, by shapes."),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify",
            help="Of a SavedModel: compare its results with the model's, in a fresh process.",
        ),
    ] = True,
    sample: Annotated[
        list[str] | None,
        typer.Option(help="A text for that; may be given several times. Default: made up."),
    ] = None,
    quantization: Annotated[
        str | None, typer.Option(help="Of a CTranslate2 folder: int8, int16, float16, ...")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an export that is there already.")
    ] = False,
    **generation_options: Any,
) -> None:
    """Writes a model for another engine: by default a TensorFlow SavedModel, text in and text out.

    The search of a SavedModel is fixed here; the other engines choose at each call.
    """
    if format not in FORMATS:
        raise ValueError(f"--format {format}: expected one of {', '.join(FORMATS)}")
    if format != FORMATS[0]:
        own = {"--ids": not text, "--no-verify": not verify, "--sample": sample is not None}
        if asked := [name for name, given in own.items() if given]:
            raise ValueError(f"{' and '.join(asked)}: for --format {FORMATS[0]}, not {format}")
    options = read_generation_options(generation_options)
    check_model(model)
    import_backend()
    show_messages()
    loaded = load_model(model, **({} if dtype is None else {"dtype": dtype}))
    from keras_s2s.export.errors import TokenizerExportError

    try:
        written = loaded.export(
            directory,
            format,
            overwrite=overwrite,
            text=text,
            truncate=truncate,
            cross_attention=cross_attention,
            xla=xla,
            verify=verify,
            **call_options(
                options,
                version=version,
                src_lang=src_lang,
                tgt_lang=tgt_lang,
                samples=sample,
                quantization=quantization,
            ),
        )
    except TokenizerExportError as error:
        raise ValueError(
            f"{error.reason}. Pass --ids to export the model from ids to ids"
        ) from None
    print(written)
