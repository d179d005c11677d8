"""`keras-s2s generate`: answer texts, one line each."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from keras_s2s.cli.arguments import check_model, check_output, load_model
from keras_s2s.cli.messages import show_messages
from keras_s2s.cli.quiet import import_backend

#: Lines read before the first are answered: enough to sort by length, few enough to see
#: answers while a long input is still being read.
CHUNK = 512


def generate(
    model: Annotated[str, typer.Argument(help="A model folder, or hf://organisation/name.")],
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT ...]", help="Texts; without any, lines of --input."),
    ] = None,
    input: Annotated[
        str | None,
        typer.Option("--input", "-i", help="A file with one text a line; - is standard input."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here, not to standard output.")
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            help="greedy, beam, random, top_k, top_p, beam_sample or diverse_beam; default: the "
            "model's own."
        ),
    ] = None,
    num_beams: Annotated[int | None, typer.Option(help="Beams; means beam search.")] = None,
    length_penalty: Annotated[float | None, typer.Option(help="Of beam search.")] = None,
    num_return_sequences: Annotated[
        int | None, typer.Option(help="Answers for each text, best first, a line each.")
    ] = None,
    do_sample: Annotated[
        bool | None, typer.Option("--do-sample", help="Draw instead of searching.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k likeliest.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw from the likeliest of this probability.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="Of the draw.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draw.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Longest answer in ids.")] = None,
    min_length: Annotated[int | None, typer.Option(help="Shortest answer in ids.")] = None,
    no_repeat_ngram_size: Annotated[
        int | None, typer.Option(help="No sequence of so many ids occurs twice.")
    ] = None,
    repetition_penalty: Annotated[
        float | None, typer.Option(help="Above 1 makes used ids less likely.")
    ] = None,
    src_lang: Annotated[
        str | None, typer.Option(help="Language of the texts, for a multilingual model.")
    ] = None,
    tgt_lang: Annotated[str | None, typer.Option(help="Language to answer in.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts answered at a time.")] = 32,
) -> None:
    """Answer texts. Each answer is a line on standard output, in the order of the texts."""
    if texts and input is not None:
        raise ValueError("give texts or --input, not both")
    if not texts and input is None and sys.stdin.isatty():
        raise ValueError("no text: give some, or --input FILE, or pipe lines into it")
    check_output(output)
    check_model(model)
    show_messages()
    import_backend()
    network = load_model(model)
    options: dict[str, Any] = {
        "sampler": sampler,
        "num_beams": num_beams,
        "length_penalty": length_penalty,
        "num_return_sequences": num_return_sequences,
        "do_sample": do_sample,
        "top_k": top_k,
        "top_p": top_p,
        "temperature": temperature,
        "seed": seed,
        "max_length": max_length,
        "min_length": min_length,
        "no_repeat_ngram_size": no_repeat_ngram_size,
        "repetition_penalty": repetition_penalty,
        "src_lang": src_lang,
        "tgt_lang": tgt_lang,
        "batch_size": batch_size,
    }
    options = {name: value for name, value in options.items() if value is not None}
    with _lines(texts, input) as lines, _writer(output) as out:
        # The rows of one call draw each their own: with a seed, all lines are one call.
        while chunk := list(islice(lines, None if seed is not None else CHUNK)):
            for answer in _answers(network, chunk, options):
                print(answer, file=out)
            out.flush()


def _answers(network: Any, texts: list[str], options: dict[str, Any]) -> Iterator[str]:
    """One line for each answer; a blank text has a blank answer, so that lines stay aligned."""
    asked = [text for text in texts if text.strip()]
    answers = network.generate(asked, **options) if asked else []
    # How many there are for a text can be the model's own default, too.
    several = [len(answer) for answer in answers if isinstance(answer, list)]
    count = several[0] if several else options.get("num_return_sequences", 1)
    found = iter(answers)
    for text in texts:
        if not text.strip():
            yield from [""] * count
            continue
        answer = next(found)
        for line in answer if isinstance(answer, list) else [answer]:
            # A line break inside an answer would shift all that follow.
            yield " ".join(line.splitlines())


@contextlib.contextmanager
def _lines(texts: list[str] | None, path: str | None) -> Iterator[Iterator[str]]:
    if texts:
        yield iter(texts)
    elif path in (None, "-"):
        yield _decoded(sys.stdin.buffer, "standard input")
    else:
        assert path is not None
        with open(path, "rb") as file:
            yield _decoded(file, path)


def _decoded(lines: Iterable[bytes], name: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{name}: line {number} is not valid UTF-8 (byte {error.start + 1}); "
                "convert it first"
            ) from None
        yield (
            text.removesuffix("\n").removesuffix("\r").removeprefix("\ufeff" if number == 1 else "")
        )


@contextlib.contextmanager
def _writer(path: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears under its name once it is complete."""
    if path is None:
        yield sys.stdout
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        file = open(beside, "w", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        # Named as the user knows it.
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with file:
            yield file
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
