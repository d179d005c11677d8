"""`keras-s2s convert`: converts a model from one library's format to another's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from keras_s2s.catalog.model_formats import readable_sources, written_formats
from keras_s2s.cli.arguments import check_input, check_model, load_model
from keras_s2s.cli.messages import show_messages
from keras_s2s.cli.quiet import import_backend

#: Our own format's name, beside those that `model.export` knows.
OWN = "keras_s2s"
#: How the names of files with pairs end; others have a text in each line.
PAIR_FILES = (".tsv", ".csv", ".jsonl", ".json")
TO = written_formats()


def convert(
    source: Annotated[
        str,
        typer.Argument(help=f"A model: {readable_sources(names_only=True)}."),
    ],
    target: Annotated[Path, typer.Argument(help="The folder to write.")],
    to: Annotated[str, typer.Option("--to", help=f"The format to write: {', '.join(TO)}.")] = OWN,
    dtype: Annotated[
        str | None, typer.Option(help="Type of the weights, e.g. bfloat16; default: float32.")
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(help="How text is split for a CTranslate2 folder: space or character."),
    ] = None,
    quantization: Annotated[
        str | None, typer.Option(help="Of a CTranslate2 folder: int8, int16, float16, ...")
    ] = None,
    src_lang: Annotated[
        str | None,
        typer.Option("--src-lang", help="The default language of sources, of what is written."),
    ] = None,
    tgt_lang: Annotated[
        str | None,
        typer.Option("--tgt-lang", help="The default language of targets, of what is written."),
    ] = None,
    ids: Annotated[
        bool,
        typer.Option(
            "--ids", help="Of a SavedModel: from ids to ids, without the model's tokenizers."
        ),
    ] = False,
    trim_to: Annotated[
        list[Path] | None,
        typer.Option(
            "--trim-to",
            help="Leave out the vocabulary that the texts of this file never use: a text a line, "
            "or pairs (.tsv, .csv, .jsonl, .json); may be given several times.",
        ),
    ] = None,
    trim_languages: Annotated[
        str | None,
        typer.Option(help="With --trim-to: the languages to keep, separated by commas."),
    ] = None,
    trim_min_count: Annotated[
        int, typer.Option(min=1, help="With --trim-to: how often a token has to occur.")
    ] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is in the folder.")
    ] = False,
) -> None:
    """Writes a model in another format. What was read is reported on standard error."""
    if to not in TO:
        raise ValueError(f"--to {to}: expected one of {', '.join(TO)}")
    if quantization is not None and to != "ctranslate2":
        raise ValueError(f"--quantization is for --to ctranslate2, not {to}")
    if ids and to != "tf_saved_model":
        raise ValueError(f"--ids is for --to tf_saved_model, not {to}")
    if target.exists() and not target.is_dir():
        raise ValueError(f"{target} is a file; give a folder to write into")
    if not overwrite and target.is_dir() and any(target.iterdir()):
        raise ValueError(f"{target} is not empty; choose another folder, or pass --overwrite")
    for name, given in (
        ("--trim-languages", trim_languages is not None),
        ("--trim-min-count", trim_min_count != 1),
    ):
        if given and not trim_to:
            raise ValueError(f"{name} is for --trim-to FILE, whose texts say what to keep")
    for path in trim_to or ():
        check_input(path)
    check_model(source)
    import_backend()
    show_messages()
    options: dict[str, Any] = {"dtype": dtype, "tokenizer": tokenizer}
    model = load_model(source, **{k: v for k, v in options.items() if v is not None})
    if trim_to:
        model = _trimmed(model, trim_to, trim_languages, trim_min_count)
    if to == OWN:
        if src_lang is not None or tgt_lang is not None:
            if model.preprocessor is None:
                raise ValueError(
                    "--src-lang and --tgt-lang: this model has no tokenizer, and so no languages"
                )
            model.preprocessor = model.preprocessor.in_languages(src_lang, tgt_lang)
        model.save_to_preset(target)
    else:
        from keras_s2s.export.errors import TokenizerExportError

        try:
            model.export(
                target,
                format=to,
                src_lang=src_lang,
                tgt_lang=tgt_lang,
                quantization=quantization,
                overwrite=overwrite,
                text=not ids,
            )
        except TokenizerExportError as error:
            raise ValueError(
                f"{error.reason}. Pass --ids to export the model from ids to ids"
            ) from None
    print(target)


def _trimmed(model: Any, files: list[Path], languages: str | None, min_count: int) -> Any:
    """Returns a model with the vocabulary that the texts of files use; its report is printed."""
    from keras_s2s.data import read_lines, read_pairs
    from keras_s2s.trimming.trim_vocabulary import trim_vocabulary

    texts: list[Any] = []
    for path in files:
        plain = path.name.removesuffix(".gz")
        texts += read_pairs(pairs=path) if plain.endswith(PAIR_FILES) else read_lines(path)
    codes = None if languages is None else [code.strip() for code in languages.split(",")]
    return trim_vocabulary(model, texts, languages=codes, min_count=min_count)
