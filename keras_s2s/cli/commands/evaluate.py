"""`keras-s2s evaluate`: generates texts for a file, and measures them against references."""

from __future__ import annotations

import json
import time
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
from keras_s2s.cli.generation_options import (
    call_options,
    read_generation_options,
    takes_generation_options,
)
from keras_s2s.cli.lines.generation import generate_for_lines
from keras_s2s.cli.lines.input import Line
from keras_s2s.cli.lines.notes import LineNotes
from keras_s2s.cli.lines.output import line_writer, one_line
from keras_s2s.cli.messages import show_messages
from keras_s2s.cli.quiet import import_backend
from keras_s2s.cli.ranking import (
    MinimumBayesRiskOption,
    ModelWeightOption,
    NumSamplesOption,
    Ranking,
    RerankOption,
)


@takes_generation_options
def evaluate(
    model: ModelArgument,
    source: Annotated[Path | None, typer.Option(help="Sources, one a line; gzip as it is.")] = None,
    target: Annotated[Path | None, typer.Option(help="References, aligned by line.")] = None,
    questions: Annotated[
        Path | None,
        typer.Option(help="Instead of both, a JSON file in the form of SQuAD 1.1 and KorQuAD 1.0."),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(help="Separated by commas: bleu, chrf, rouge, exact_match, korquad, squad."),
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
    batch_size: BatchSizeOption = 64,
    overlong: OverlongOption = "error",
    compute_type: ComputeTypeOption = None,
    cuda_graphs: CudaGraphsOption = False,
    rerank: RerankOption = None,
    model_weight: ModelWeightOption = None,
    minimum_bayes_risk: MinimumBayesRiskOption = None,
    num_samples: NumSamplesOption = None,
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
    if (source is None) != (target is None) or (source is None) == (questions is None):
        raise ValueError("give --source and --target, or --questions")
    options = read_generation_options(generation_options)
    written = rerank, model_weight, minimum_bayes_risk, num_samples
    ranking = Ranking.read(*written, options=options)
    files = [path for path in (source, target, questions) if path is not None]
    check_files(model, files, output, overlong, compute_type)
    import_backend()
    show_messages()
    from keras_s2s.data.files.pairs import read_aligned
    from keras_s2s.data.files.questions import read_questions
    from keras_s2s.data.files.text_pairs import is_blank
    from keras_s2s.text_metrics.target_language import target_language

    if questions is not None:
        pairs = read_questions(questions)
        lines = list(pairs)
    else:
        assert source is not None and target is not None
        lines, pairs = read_aligned(source, target)
    place = f"{questions}, pair" if questions is not None else f"{source}, line"
    rank = None if ranking is None else ranking.function()
    loaded = load_text_model(model, compute_type=compute_type, cuda_graphs=cuda_graphs)
    preprocessor = loaded.preprocessor
    measured = TextMetrics(
        names,
        [t for _, t in pairs],
        tgt_lang=tgt_lang or target_language(preprocessor),
        bleu_tokenize=bleu_tokenize,
    )
    if preprocessor.special_ids.languages is None:
        tgt_lang = None  # it chose the tokenizers of the metrics; the model knows no languages
    options = call_options(options, src_lang=src_lang, tgt_lang=tgt_lang, batch_size=batch_size)
    notes = LineNotes()
    started = time.monotonic()
    results = generate_for_lines(
        loaded,
        [Line(f"{place} {number}", s) for number, (s, _) in enumerate(lines, 1)],
        options,
        notes,
        overlong=overlong,
        strict=True,
        rank=rank,
    )
    seconds = time.monotonic() - started
    notes.close(len(lines), "nothing was measured")
    # Of several texts the first counts, which is the best.
    texts = [entry.texts[0].text if entry.texts else "" for entry in results]
    if output is not None:
        with line_writer(output) as out:
            out.writelines(one_line(text) + "\n" for text in texts)
    compared = [
        text
        for text, (s, t) in zip(texts, lines, strict=True)
        if not is_blank(s) and not is_blank(t)
    ]
    values = {**measured.measure(compared), **measured.signatures}
    if ranking is not None:
        values |= ranking.facts
    print(json.dumps({**values, "pairs": len(pairs), "seconds": round(seconds, 1)}))
