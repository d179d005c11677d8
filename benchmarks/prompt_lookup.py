"""What prompt lookup is worth: greedy search with and without drafts, on results that copy a share.

    python benchmarks/prompt_lookup.py --backend torch

The model has random weights, so it copies nothing: each result is given as `decoder_prefix`, which
greedy search follows id by id, and prompt lookup drafts from the source alone as it always does. A
share of each result stands in its source, in spans of several ids; the rest was replaced. See
benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

#: Sizes of the Transformer: layers of each side, hidden size, inner size, heads, vocabulary.
SIZES = {"tiny": (2, 64, 256, 4, 1000), "marian": (6, 512, 2048, 8, 32000)}
#: Special ids: PAD, decoder start, EOS; those of texts come after them.
PAD, START, EOS, FIRST = 0, 1, 2, 3


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    options = parse(arguments)
    os.environ["KERAS_BACKEND"] = options.backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    result = run(options)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(table(result["cells"]))
    return 0


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--backend", default="torch", choices=("torch", "jax", "tensorflow"))
    parser.add_argument("--size", default="marian", choices=tuple(SIZES))
    parser.add_argument("--rows", default="1,8,32", help="texts of a batch")
    parser.add_argument(
        "--texts", type=int, default=8, help="of a call, or a batch if that is more"
    )
    parser.add_argument("--drafts", default="3,5,10", help="values of prompt_lookup_num_tokens")
    parser.add_argument("--shares", default="0.5,0.9", help="parts of results that are copied")
    parser.add_argument("--span", type=float, default=5.0, help="ids of a span, their mean")
    parser.add_argument("--steps", type=int, default=48, help="ids of each result")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="measure the time that processors worked for this process, all threads together, in "
        "place of the time that passed: for one thread on a machine with other work",
    )
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks/prompt_lookup.json"))
    return parser.parse_args(arguments)


def pair(
    rng: np.random.Generator, vocabulary: int, length: int, share: float, span: float
) -> tuple[list[int], list[int]]:
    """Returns a result of `length` ids, and a source that has a share of it.

    Spans take turns: one that both have, and one in whose place the source has other ids, as many,
    one less or one more. Their lengths are geometrically distributed.
    """
    target, source = [], []
    same = bool(rng.random() < share)
    while len(target) < length:
        mean = 2 * span * (share if same else 1 - share)
        count = min(int(rng.geometric(1 / max(mean, 1.0))), length - len(target))
        ids = rng.integers(FIRST, vocabulary, count).tolist()
        target += ids
        if same:
            source += ids
        else:
            other = max(count + int(rng.integers(-1, 2)), 0)
            source += rng.integers(FIRST, vocabulary, other).tolist()
        same = not same
    return [*source, EOS], target


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures every number of rows, share and length of drafts."""
    import keras

    import keras_s2s as s2s

    layers, hidden, inner, heads, vocabulary = SIZES[options.size]
    keras.utils.set_random_seed(1)
    special = {"pad": PAD, "unk": PAD, "eos": EOS}
    model = s2s.Seq2SeqLM.from_architecture(
        {
            "source_vocab_size": vocabulary,
            "target_vocab_size": vocabulary,
            "shared": {
                "type": "transformer",
                "num_layers": layers,
                "hidden_dim": hidden,
                "intermediate_dim": inner,
                "num_heads": heads,
                "embedding": {"positions": "sinusoidal", "scale": True},
            },
            "share_embeddings": True,
            "output": {"tie_embeddings": True},
        },
        special_ids={"source": special, "target": {**special, "decoder_start": START}},
    )
    cells = []
    for share in map(float, options.shares.split(",")):
        for rows in map(int, options.rows.split(",")):
            cells += measured(model, vocabulary, rows, share, options)
    return {
        "versions": {"keras": keras.__version__, "backend": keras.backend.backend()},
        "options": {name: str(value) for name, value in vars(options).items()},
        "cells": cells,
    }


def measured(
    model: Any, vocabulary: int, rows: int, share: float, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Returns a cell for each length of drafts; in each round all of them take turns."""
    rng = np.random.default_rng(1)
    count = max(rows, options.texts)
    pairs = [pair(rng, vocabulary, options.steps, share, options.span) for _ in range(count)]
    width = max(len(source) for source, _ in pairs)
    ids = np.full((count, width), PAD, "int32")
    for row, (source, _) in zip(ids, pairs, strict=True):
        row[: len(source)] = source
    mask = np.arange(width) < np.asarray([[len(source)] for source, _ in pairs])
    sources = {"encoder_token_ids": ids, "encoder_padding_mask": mask}
    drafts = [0, *map(int, options.drafts.split(","))]
    prefix = [target[:-1] for _, target in pairs]

    def generate(count: int) -> Any:
        lookup = {"prompt_lookup_num_tokens": count} if count else {}
        return model.generate(
            sources,
            decoder_prefix=prefix,
            max_new_tokens=1,
            min_new_tokens=1,
            batch_size=rows,
            return_output=True,
            **lookup,
        )

    found = {count: generate(count) for count in drafts}  # compiles
    for output in found.values():
        np.testing.assert_array_equal(output.token_ids, found[0].token_ids)
    clock = time.process_time if options.processor_time else time.perf_counter
    seconds: dict[int, list[float]] = {count: [] for count in drafts}
    for turn in range(options.rounds):
        for count in drafts[turn % len(drafts) :] + drafts[: turn % len(drafts)]:
            begin = clock()
            generate(count)
            seconds[count].append(clock() - begin)
    common = {"rows": rows, "share": share, "greedy": seconds[0]}
    return [{**common, "drafts": count, "lookup": seconds[count]} for count in drafts[1:]]


def table(cells: list[dict[str, Any]]) -> str:
    """Returns medians in milliseconds, and the median of the ratios within each round."""
    lines = [
        "| copied | rows | drafted | greedy, ms | prompt lookup, ms | times as fast |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for cell in cells:
        greedy, lookup = cell["greedy"], cell["lookup"]
        ratio = statistics.median(a / b for a, b in zip(greedy, lookup, strict=True))
        lines.append(
            f"| {cell['share']:.0%} | {cell['rows']} | {cell['drafts']} | "
            f"{1000 * statistics.median(greedy):.0f} | {1000 * statistics.median(lookup):.0f} | "
            f"{ratio:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
