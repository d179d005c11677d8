"""`keras-s2s evaluate`: generates texts for a file, and measures them against references."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_s2s.cli.arguments import (
    check_input,
    check_model,
    check_output,
    check_overlong,
    check_text,
    load_model,
)
from keras_s2s.cli.generation_options import (
    read_generation_options,
    takes_generation_options,
)
from keras_s2s.cli.lines.answers import answer_lines
from keras_s2s.cli.lines.input import Line
from keras_s2s.cli.lines.notes import LineNotes
from keras_s2s.cli.lines.output import line_writer, one_line
from keras_s2s.cli.messages import show_messages
from keras_s2s.cli.quiet import import_backend


@takes_generation_options
def evaluate(
    model: Annotated[str, typer.Argument(help="A model folder, or hf://organisation/name.")],
    source: Annotated[Path, typer.Option(help="Sources, one a line; gzip as it is.")],
    target: Annotated[Path, typer.Option(help="References, aligned by line.")],
    metrics: Annotated[
        str, typer.Option(help="Separated by commas: bleu, chrf, rouge, exact_match.")
    ] = "bleu,chrf",
    bleu_tokenize: Annotated[
        str | None,
        typer.Option(
            help="One of sacreBLEU's tokenizers: 13a, zh, ja-mecab, ko-mecab, char, flores200, "
            "...; default: by the target language."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Keep the generated texts.")
    ] = None,
    src_lang: Annotated[
        str | None, typer.Option(help="Language of the sources, for a multilingual model.")
    ] = None,
    tgt_lang: Annotated[
        str | None,
        typer.Option(
            help="Language to generate in; for a model of one language, that of the targets."
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts decoded at a time.")] = 64,
    overlong: Annotated[
        str,
        typer.Option(
            help="What to do with a source that is longer than the model's positions: error or "
            "truncate."
        ),
    ] = "error",
    **generation_options: Any,
) -> None:
    """Measures a model on a test set, and prints the results as JSON on the last line.

    Where a model generates several texts, the first one counts. --output has a line for each line
    of the sources; pairs with a blank side are left out of the measure.
    """
    from keras_s2s.text_metrics.corpus_metrics import METRICS, TextMetrics, check_metrics

    names = [name.strip() for name in metrics.split(",") if name.strip()]
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        raise ValueError(f"--metrics {metrics!r}: expected names out of {', '.join(METRICS)}")
    check_metrics(names, bleu_tokenize=bleu_tokenize)
    options = read_generation_options(generation_options)
    check_overlong(overlong)
    check_input(source)
    check_input(target)
    check_output(output)
    check_model(model)
    import_backend()
    show_messages()
    from keras_s2s.data.pairs import is_blank, read_aligned
    from keras_s2s.text_metrics.target_language import target_language

    lines, pairs = read_aligned(source, target)
    network = load_model(model)
    check_text(network, model)
    text = network.preprocessor
    measured = TextMetrics(
        names,
        [t for _, t in pairs],
        tgt_lang=tgt_lang or target_language(text),
        bleu_tokenize=bleu_tokenize,
    )
    if text is not None and text.special_ids.languages is None:
        tgt_lang = None  # it chose the tokenizers, and there is nothing to tell the model
    languages = {"src_lang": src_lang, "tgt_lang": tgt_lang}
    options |= {name: code for name, code in languages.items() if code is not None}
    options["batch_size"] = batch_size
    notes = LineNotes()
    started = time.monotonic()
    answered = answer_lines(
        network,
        [Line(f"{source}, line {number}", s) for number, (s, _) in enumerate(lines, 1)],
        options,
        notes,
        overlong=overlong,
        strict=True,
    )
    seconds = time.monotonic() - started
    notes.close(len(lines), "nothing was measured")
    # Of several texts the first counts, which is the best.
    answers = [entry.answers[0].text if entry.answers else "" for entry in answered]
    if output is not None:
        with line_writer(output) as out:
            out.writelines(one_line(answer) + "\n" for answer in answers)
    compared = [
        answer
        for answer, (s, t) in zip(answers, lines, strict=True)
        if not is_blank(s) and not is_blank(t)
    ]
    values = {**measured.measure(compared), **measured.signatures}
    print(json.dumps({**values, "pairs": len(pairs), "seconds": round(seconds, 1)}))
