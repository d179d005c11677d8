"""Measures a student beside its teacher: the time of generation from the same sources, and metrics.

    python benchmarks/student.py TEACHER STUDENT --sources FILE [--targets FILE]

Both are whatever `Seq2SeqLM.from_preset` reads. They take turns in each round, and which begins
changes, so that other work on the machine falls on both alike; a ratio is of one round. Times are
those of `generate`, from texts to texts, after a first call in which everything is compiled.

    python benchmarks/student.py MODEL MODEL --student-option shortlist=lex.txt --sources FILE

measures what an option is worth: both are one model.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

ROLES = ("teacher", "student")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    import keras

    import keras_s2s as s2s
    from keras_s2s.data.files.lines import read_lines
    from keras_s2s.text_metrics.corpus_metrics import corpus_metrics, first_hypotheses

    sources = list(itertools.islice(read_lines(options.sources), options.limit))
    search: dict[str, Any] = {"batch_size": options.batch_size}
    if options.num_beams is not None:
        search["num_beams"] = options.num_beams
    folders = dict(zip(ROLES, (options.teacher, options.student), strict=True))
    own: dict[str, dict[str, Any]] = {"teacher": {}, "student": dict(options.student_option)}
    compute_types = {role: own[role].pop("compute_type", None) for role in ROLES}
    models = {
        role: s2s.Seq2SeqLM.from_preset(folder, compute_type=compute_types[role])
        for role, folder in folders.items()
    }

    def generate(role: str) -> Any:
        return models[role].generate(sources, **{**search, **own[role]})

    outputs = {role: first_hypotheses(generate(role)) for role in ROLES}
    samples = []
    for round_ in range(options.rounds):
        for role in ROLES if round_ % 2 == 0 else ROLES[::-1]:
            started = time.perf_counter()
            generate(role)
            samples.append(
                {"round": round_, "role": role, "seconds": time.perf_counter() - started}
            )
    metrics: dict[str, Any] = {}
    if options.targets is not None:
        targets = list(itertools.islice(read_lines(options.targets), options.limit))
        metrics = {
            role: corpus_metrics(
                texts, targets, options.metrics, bleu_tokenize=options.bleu_tokenize
            )
            for role, texts in outputs.items()
        }
    result = {
        "backend": keras.backend.backend(),
        "folders": folders,
        "parameters": {role: model.count_params() for role, model in models.items()},
        "sources": len(sources),
        "search": search,
        "student_options": dict(options.student_option),
        "samples": samples,
        **summary(samples),
        "metrics": metrics,
    }
    print("\n".join(report(result)))
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


def summary(samples: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Returns the median time of each role, and how much faster the student is.

    Args:
        samples: with `round`, `role` and `seconds`.

    Returns:
        `{"seconds": {role: median}, "speedup": [least, median, greatest]}`; a speed-up is the
        teacher's time over the student's in the same round.
    """
    times: dict[int, dict[str, float]] = {}
    for sample in samples:
        times.setdefault(sample["round"], {})[sample["role"]] = sample["seconds"]
    ratios = sorted(times[r]["teacher"] / times[r]["student"] for r in times)
    return {
        "seconds": {role: statistics.median(t[role] for t in times.values()) for role in ROLES},
        "speedup": [ratios[0], statistics.median(ratios), ratios[-1]],
    }


def report(result: dict[str, Any]) -> list[str]:
    """Returns lines for people."""
    lines = [f"{result['sources']} sources on {result['backend']}, {result['search']}"]
    if result["student_options"]:
        lines.append(f"the student alone: {result['student_options']}")
    for role in ROLES:
        values = result["metrics"].get(role, {})
        shown = [f"{name} {v:.2f}" for name, v in values.items() if not isinstance(v, str)]
        lines.append(
            f"{role}: {result['parameters'][role]:,} parameters, "
            f"{result['seconds'][role]:.2f} s  {'  '.join(shown)}".rstrip()
        )
    least, median, greatest = result["speedup"]
    lines.append(f"the student is {median:.2f} ({least:.2f} to {greatest:.2f}) times as fast")
    return lines


def option(text: str) -> tuple[str, Any]:
    """Returns name and value of `NAME=VALUE`; the value is YAML."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, e.g. shortlist=lex.txt")
    return name, yaml.safe_load(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("teacher", help="folder or name of a model")
    parser.add_argument("student", help="folder or name of a model")
    parser.add_argument("--sources", type=Path, required=True, help="a text a line; may be gzipped")
    parser.add_argument("--targets", type=Path, help="true targets, for metrics")
    parser.add_argument("--metrics", default=["bleu", "chrf"], type=lambda text: text.split(","))
    parser.add_argument("--bleu-tokenize", help="sacreBLEU's tokenizer; the language's by default")
    parser.add_argument("--limit", type=int, default=200, help="so many sources, the first ones")
    parser.add_argument("--num-beams", type=int, help="by default those of each model")
    parser.add_argument(
        "--student-option",
        type=option,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of `generate`, or compute_type, for the student alone",
    )
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="JSON file of everything, all samples included")
    return parser


if __name__ == "__main__":
    sys.exit(main())
