"""Prints the results of a run: as lines for people, or as JSON for programs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO


def print_summary(
    report: Mapping[str, Any],
    directory: Path,
    pictures: Sequence[Path],
    example: str | None,
    file: TextIO,
) -> None:
    """Prints the results of a run: a table on a terminal, else one line of JSON.

    Args:
        report: as `results.json` holds it.
        directory: the run's folder.
        pictures: that were drawn.
        example: a source to try the model with; None for a model that does not read texts.
        file: where to print.
    """
    if file.isatty():
        print("\n" + "\n".join(_for_people(report, directory, pictures, example)), file=file)
        return
    shown = {name: report[name] for name in ("best_epoch", "epochs", "seconds", "test_pairs")}
    print(json.dumps({**report["metrics"], **shown}, ensure_ascii=False), file=file)


def _for_people(
    report: Mapping[str, Any], directory: Path, pictures: Sequence[Path], example: str | None
) -> list[str]:
    epochs = "1 epoch" if report["epochs"] == 1 else f"{report['epochs']} epochs"
    best = "" if report["epochs"] == 1 else f"; epoch {report['best_epoch']} was the best"
    lines = [f"{report['model']}: {epochs} in {_duration(report['seconds'])}{best}"]
    metrics = report["metrics"]
    rows = []
    for name, value in metrics.items():
        if not isinstance(value, str):
            signature = metrics.get(f"{name}_signature", "")
            rows.append((name, f"{value:.4g}   {signature}".rstrip()))
    rows.append(("measured on", f"{report['test_pairs']:,} of the test split"))
    rows.append(("model", str(directory)))
    rows += [("picture", str(path)) for path in pictures]
    rows.append(("next", next_command(directory, example)))
    width = max(len(name) for name, _ in rows)
    return lines + [f"  {name:<{width}}  {value}" for name, value in rows]


def next_command(directory: Path, example: str | None) -> str:
    """Returns the command that shows the model at work."""
    if example is None:
        return f"python -c \"import keras_s2s; keras_s2s.Seq2SeqLM.from_preset('{directory}')\""
    return f"keras-s2s generate {shlex.quote(str(directory))} {_quoted(example)}"


def _quoted(text: str) -> str:
    """Returns a text in double quotes where these are enough, which every shell understands."""
    return shlex.quote(text) if set(text) & set('"\\$`!\n') else f'"{text}"'


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
