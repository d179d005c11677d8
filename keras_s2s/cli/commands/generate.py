"""`keras-s2s generate`: generates texts for source texts, one a line."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_s2s.cli.arguments import (
    BatchSizeOption,
    ComputeTypeOption,
    CudaGraphsOption,
    ModelArgument,
    OverlongOption,
    check_files,
    load_text_model,
)
from keras_s2s.cli.documents import (
    DocumentFormatOption,
    DocumentOption,
    format_of_document,
    generate_from_document,
)
from keras_s2s.cli.generation_options import (
    call_options,
    read_generation_options,
    takes_generation_options,
)
from keras_s2s.cli.lines.generation import generate_for_lines, texts_per_line
from keras_s2s.cli.lines.input import open_lines
from keras_s2s.cli.lines.notes import LineNotes
from keras_s2s.cli.lines.output import json_line, line_writer, plain_lines, scored_lines
from keras_s2s.cli.messages import show_messages
from keras_s2s.cli.quiet import import_backend
from keras_s2s.cli.ranking import (
    MinimumBayesRiskOption,
    ModelWeightOption,
    NumSamplesOption,
    Ranking,
    RerankOption,
)

#: Lines read before texts are generated for the first: enough to sort by length, few enough to
#: see results while a long input is still being read.
CHUNK = 512


@takes_generation_options
def generate(
    model: ModelArgument,
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
    document: DocumentOption = None,
    document_format: DocumentFormatOption = None,
    src_lang: Annotated[
        str | None, typer.Option(help="Language of the texts, for a multilingual model.")
    ] = None,
    tgt_lang: Annotated[str | None, typer.Option(help="Language to generate in.")] = None,
    batch_size: BatchSizeOption = 32,
    overlong: OverlongOption = "error",
    compute_type: ComputeTypeOption = None,
    cuda_graphs: CudaGraphsOption = False,
    rerank: RerankOption = None,
    model_weight: ModelWeightOption = None,
    minimum_bayes_risk: MinimumBayesRiskOption = None,
    num_samples: NumSamplesOption = None,
    scores: Annotated[
        bool, typer.Option("--scores", help="Put its score and a tab before each text.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="A JSON object for each source, with generated texts and scores."
        ),
    ] = False,
    **generation_options: Any,
) -> None:
    """Generates texts for source texts: a line on standard output for each, in their order.

    There are as many lines as sources, or N times as many with N texts for each. They are blank for
    a blank source, and for one that cannot be used; that is named, and the exit code is 1.
    With --document, a document is generated sentence by sentence, and written as a whole.
    With --rerank or --minimum-bayes-risk there is one line for each source, and --json has all
    candidates, with what they are ranked by as their scores.
    """
    if document is not None:
        _refuse_with_document(texts, input, overlong, scores, as_json)
        document_format = format_of_document(document, document_format)
    elif document_format is not None:
        raise ValueError("--document-format is for --document FILE")
    if texts and input is not None:
        raise ValueError("give texts or --input, not both")
    if not texts and input is None and document is None and sys.stdin.isatty():
        raise ValueError("no text: give some, or --input FILE, or pipe lines into it")
    if scores and as_json:
        raise ValueError("--scores and --json exclude each other; --json has the scores, too")
    options = read_generation_options(generation_options)
    written = rerank, model_weight, minimum_bayes_risk, num_samples
    ranking = Ranking.read(*written, options=options)
    if document is not None and ranking is not None:
        raise ValueError("--rerank and --minimum-bayes-risk are for lines, and not for --document")
    check_files(model, [input, document], output, overlong, compute_type)
    import_backend()
    show_messages()
    rank = None if ranking is None else ranking.function()
    loaded = load_text_model(model, compute_type=compute_type, cuda_graphs=cuda_graphs)
    options = call_options(options, src_lang=src_lang, tgt_lang=tgt_lang, batch_size=batch_size)
    if document is not None and document_format is not None:
        generate_from_document(loaded, document, document_format, output, options)
        return
    count = 1 if rank is not None else texts_per_line(loaded, options)
    notes, read = LineNotes(), 0
    with open_lines(texts, input) as lines, line_writer(output) as out:
        # The rows of one call draw each their own: with a seed, all lines are one call.
        while chunk := list(islice(lines, None if "seed" in options else CHUNK)):
            for result in generate_for_lines(
                loaded, chunk, options, notes, overlong=overlong, rank=rank
            ):
                if as_json:
                    print(json_line(result), file=out)
                else:
                    rows = scored_lines if scores else plain_lines
                    shown = result._replace(texts=result.texts[:count])
                    print(*rows(shown, count), sep="\n", file=out)
            out.flush()
            read += len(chunk)
    notes.close(read)


def _refuse_with_document(
    texts: list[str] | None, input: str | None, overlong: str, scores: bool, as_json: bool
) -> None:
    """Raises an error for arguments that a whole document has no use for."""
    if texts or input is not None:
        raise ValueError("give texts, --input or --document, one of them")
    if scores or as_json:
        raise ValueError("--scores and --json are for lines; a document is written as it is")
    if overlong == "truncate":
        raise ValueError(
            "--overlong truncate is for lines; sentences of a document that are too long are split"
        )
