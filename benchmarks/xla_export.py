"""What XLA is worth in a SavedModel: the same model exported with and without `xla=True`.

    python benchmarks/xla_export.py

Both artefacts are loaded in this process and called one after the other, with the same texts. The
first call of a shape, in which XLA compiles, is timed by itself. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

#: Sizes of the Transformer: layers of each side, hidden size, inner size, heads.
SIZES = {"tiny": (2, 64, 256, 4), "small": (4, 256, 1024, 4), "medium": (6, 512, 2048, 8)}
TEXT = "the man sees a dog and two women near some green trees in front of an old house"
WORDS = TEXT.split()


def main() -> int:
    """Run the benchmark; returns the exit status."""
    options = parse()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    result = run(options)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(table(result["cells"]))
    return 0


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", default="tiny,small", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--rows", default="1,8,32", help="texts of a call")
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--steps", type=int, default=32, help="generated ids of each result")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks/xla_export.json"))
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures every size and number of rows."""
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    cells = []
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes.split(","):
            functions = exported(size, Path(folder), options)
            for rows in map(int, options.rows.split(",")):
                cells.append({"size": size, "rows": rows, **measured(functions, rows, options)})
    return {
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        "options": {name: str(value) for name, value in vars(options).items()},
        "cells": cells,
    }


def exported(size: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Returns the function of each SavedModel, by its name: "plain" and "xla"."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  (registers the ops of tokenizers)

    from keras_s2s import Seq2SeqLM
    from keras_s2s.text import Preprocessor

    layers, hidden, inner, heads = SIZES[size]
    model = Seq2SeqLM.from_preset(
        "transformer_tiny",
        load_weights=False,
        preprocessor=Preprocessor.train([(TEXT, TEXT)], "character", joint=True),
        architecture={
            "shared": {
                "num_layers": layers,
                "hidden_dim": hidden,
                "intermediate_dim": inner,
                "num_heads": heads,
            }
        },
    )
    functions = {}
    for name in ("plain", "xla"):
        path = model.export(
            folder / size / name,
            num_beams=options.beams,
            max_length=options.steps + 1,
            min_length=options.steps + 1,
            xla=name == "xla",
            verify=False,
        )
        loaded = tf.saved_model.load(str(path))
        functions[name] = loaded.signatures["serving_default"]
        functions[name].loaded = loaded  # its variables live as long as it does
    return functions


def measured(
    functions: dict[str, Any], rows: int, options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Returns the seconds of the first call, and of each of the later ones.

    Args:
        functions: by name; they take turns, each round begins with another one.
        rows: texts of a call.
        options: of the benchmark.
    """
    import tensorflow as tf

    texts = [" ".join(WORDS[i % 5 : i % 5 + 8]) for i in range(rows)]
    text = tf.constant(texts)
    found: dict[str, dict[str, Any]] = {}
    written = {}
    for name, function in functions.items():
        began = time.perf_counter()
        written[name] = function(text=text)["text"].numpy().tolist()
        found[name] = {"first": time.perf_counter() - began, "seconds": []}
    equal = sum(a == b for a, b in zip(written["plain"], written["xla"], strict=True))
    names = list(functions)
    for number in range(options.rounds):
        for name in names[number % 2 :] + names[: number % 2]:
            began = time.perf_counter()
            functions[name](text=text)["text"].numpy()
            found[name]["seconds"].append(time.perf_counter() - began)
    return {**found, "equal": equal}


def table(cells: list[dict[str, Any]]) -> str:
    """Returns a Markdown table of medians."""
    lines = [
        "| size | rows | plain, ms | xla, ms | plain to xla | first xla call, s | equal texts |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cell in cells:
        plain, xla = (statistics.median(cell[name]["seconds"]) for name in ("plain", "xla"))
        pairs = zip(cell["plain"]["seconds"], cell["xla"]["seconds"], strict=True)
        ratio = statistics.median(a / b for a, b in pairs)
        lines.append(
            f"| {cell['size']} | {cell['rows']} | {1000 * plain:.0f} | {1000 * xla:.0f} "
            f"| {ratio:.2f} | {cell['xla']['first']:.1f} | {cell['equal']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
