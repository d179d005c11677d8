"""Generation side by side: keras_s2s on each backend, transformers, CTranslate2 and keras-hub.

    python benchmarks/generate.py
    python benchmarks/generate.py --cells 8x1,32x4 --text train.en.gz
    python benchmarks/generate.py --device gpu --dtype bfloat16

The same random weights in every engine (keras-hub has its own), each engine in a process of its
own, one at a time, in turns. See benchmarks/README.md for what is measured and how.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

from generation import machine, report
from generation.bench import Bench, Cell
from generation.engines import ENGINES, OURS, Settings
from generation.limits import ROWS
from generation.model import (
    OUTPUT_BIAS,
    POSITIONS,
    SIZES,
    BenchmarkError,
    Model,
    check_sizes,
    from_preset,
    random_state,
)
from generation.outcome import ONCE, TWICE, outcome, wanted_length
from generation.worker import WorkerError
from generation.workload import Workload, fit, random_rows, read_lines
from rich.console import Console


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        return run(options)
    except (BenchmarkError, WorkerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


# --------------------------------------------------------------------------------------
# Options
# --------------------------------------------------------------------------------------


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options; argparse ends the program where they cannot be read."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/generate.py", description=(__doc__ or "").partition("\n")[0]
    )
    add = parser.add_argument
    add(
        "--cells",
        type=cells,
        default=cells("1x1,1x4,8x1,8x4,32x1,32x4"),
        help="batch x beams, separated by commas (default: 1, 8 and 32 x 1 and 4)",
    )
    add("--rounds", type=positive, default=5, help="timed visits of each cell (default: 5)")
    add(
        "--engines",
        type=engines,
        help=f"of {', '.join(ENGINES)}; a beginning such as keras_s2s means all of them "
        "in the type of --dtype (default: all of these that are installed; on a GPU "
        "keras_s2s-torch, keras_s2s-jax, transformers)",
    )
    add("--threads", type=positive, help="cores of an engine (default: all)")
    add("--device", choices=("cpu", "gpu"), default="cpu")
    add("--dtype", choices=("float32", "bfloat16"), default="float32")
    add("--size", choices=tuple(SIZES), default="marian", help="of the random model")
    for name in SIZES["marian"]:
        add(f"--{name}", type=positive, help="in place of the size's own")
    add("--model", type=Path, metavar="FOLDER", help="a preset folder in place of random weights")
    add("--source", type=positive, default=32, help="ids of a random source (default: 32)")
    add("--steps", type=positive, default=63, help="forced steps (default: 63)")
    add("--text", type=Path, metavar="FILE", help="one sentence a line, gzip allowed")
    add("--sentences", type=positive, default=1_000, help="lines of --text (default: 1000)")
    add("--max-length", type=positive, default=128, help="of text results (default: 128)")
    add(
        "--workloads",
        type=workload_names,
        help="forced, text or both (default: forced, and text where --text is given)",
    )
    add(
        "--max-length-doubling",
        action="store_true",
        help="only this: keras_s2s with --max-length and twice that, for the same results",
    )
    add("--seed", type=int, default=0, help="of weights and random sources (default: 0)")
    add(
        "--output",
        type=Path,
        default=Path("runs/benchmarks/generate.json"),
        help="JSON file with every sample (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    """An option's value of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)


def cells(text: str) -> list[Cell]:
    """`8x1,32x4` as `[(8, 1), (32, 4)]`."""
    found = []
    for part in text.split(","):
        batch, _, beams = part.strip().partition("x")
        if not (batch.isdecimal() and beams.isdecimal() and int(batch) and int(beams)):
            raise argparse.ArgumentTypeError(f"{part!r} is not batch x beams, e.g. 8x1,32x4")
        found.append((int(batch), int(beams)))
    return list(dict.fromkeys(found))


def engines(text: str) -> list[str]:
    """Names of engines; a beginning such as keras_s2s, which is no full name, stands for all that
    begin so.
    """
    found: list[str] = []
    for part in text.split(","):
        begin_so = [
            name
            for name, spec in ENGINES.items()
            if name.startswith(f"{part}-") and not spec.rounded
        ]
        matches = [part] if part in ENGINES else begin_so
        if not matches:
            raise argparse.ArgumentTypeError(f"{part!r} is none of {', '.join(ENGINES)}")
        found += matches
    return list(dict.fromkeys(found))


def workload_names(text: str) -> list[str]:
    """`forced`, `text`, or both, separated by a comma."""
    names = text.split(",")
    if unknown := [name for name in names if name not in ("forced", "text")]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is neither forced nor text")
    return list(dict.fromkeys(names))


# --------------------------------------------------------------------------------------
# A run
# --------------------------------------------------------------------------------------


def run(options: argparse.Namespace) -> int:
    """Measure, print the tables and write the JSON file; 1 where an engine failed."""
    check(options)
    log = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    begun = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    here = machine.description()
    with tempfile.TemporaryDirectory(prefix="generate-") as name:
        folder = Path(name)
        settings = Settings(name, options.device, options.dtype, threads(options), options.seed)
        bench = Bench(settings, log.print)
        try:
            model = make_model(options, folder, bench)
            workloads = make_workloads(options, model, bench)
            bench.start(chosen_engines(options, model, bench))
            if not bench.workers:
                raise BenchmarkError(f"no engine runs{reasons(bench)}")
            if options.max_length_doubling:
                workloads = doubled(options, bench, workloads[0])
            bench.run(workloads, options.cells, options.rounds, takes_part, machine_rows(options))
        finally:
            bench.close()
    if not any(sample["round"] for sample in bench.samples):
        raise BenchmarkError(f"every engine failed{reasons(bench)}")
    result = {
        "command": shlex.join(["python", *sys.argv]),
        "date": begun,
        **here,
        **outcome(model, bench, workloads, options.cells, options.rounds),
    }
    write(result, options.output)
    # A pipe has no width of its own; the tables want one that holds six cells.
    report.print_report(result, Console(width=None if sys.stdout.isatty() else 140))
    print(f"written: {options.output}")
    return int(any(status.startswith("failed") for status in bench.status.values()))


def check(options: argparse.Namespace) -> None:
    """Refuse options that contradict each other."""
    longest = options.max_length * (2 if options.max_length_doubling else 1)
    for name, value in (
        ("--steps", options.steps + 1),
        ("--source", options.source),
        ("--max-length", longest),
    ):
        if value > POSITIONS:
            raise BenchmarkError(
                f"{name}: {value} positions are needed, the models have {POSITIONS}"
            )
    if options.max_length < 2:
        raise BenchmarkError("--max-length 1 leaves no step: it counts the decoder start")
    if options.workloads and "text" in options.workloads and options.text is None:
        raise BenchmarkError("--workloads text needs --text FILE")
    if options.text is not None:
        read_lines(options.text, 1)  # before anything that takes time
    if options.max_length_doubling and options.workloads:
        raise BenchmarkError("--max-length-doubling is a run of its own; leave out --workloads")
    if options.model is not None:
        given = [name for name in SIZES["marian"] if getattr(options, name) is not None]
        if given:
            raise BenchmarkError(f"--model has sizes of its own; leave out --{given[0]}")


def threads(options: argparse.Namespace) -> int:
    """Cores that an engine gets."""
    available = machine.cores()
    if options.threads is not None and options.threads > available:
        raise BenchmarkError(f"--threads {options.threads}: there are {available} cores")
    return options.threads or available


def make_model(options: argparse.Namespace, folder: Path, bench: Bench) -> Model:
    """Write the model that all engines read into `folder`."""
    if options.model is not None:
        model, state = from_preset(options.model)
        model.write(folder, state)
        return model
    sizes: dict[str, Any] = {
        name: getattr(options, name) or value for name, value in SIZES[options.size].items()
    }
    layers = sizes.pop("layers")
    ends = ends_by_itself(options)
    model = Model(encoder_layers=layers, decoder_layers=layers, output_bias=ends, **sizes)
    check_sizes(model)
    state = random_state(model, options.seed)
    model.write(folder, state)
    if ends:
        rows = random_rows(model, 16, (4, options.source), options.seed + 1)
        request = {"rows": rows, "length": wanted_length(options.max_length)}
        answer = bench.helper("calibrate", request)
        state[OUTPUT_BIAS][model.eos] = answer["bias"]
        model.write(folder, state)
    return model


def workloads_of(options: argparse.Namespace) -> list[str]:
    """Names of the workloads that are asked for."""
    return options.workloads or ["forced", *(["text"] if options.text else [])]


def ends_by_itself(options: argparse.Namespace) -> bool:
    """Whether some sentences must end by EOS."""
    return options.max_length_doubling or "text" in workloads_of(options)


def make_workloads(options: argparse.Namespace, model: Model, bench: Bench) -> list[Workload]:
    """The workloads that the options ask for."""
    most = max(batch for batch, _ in options.cells)
    if options.max_length_doubling and options.text is None:
        rows = random_rows(model, 2 * most, (4, options.source), options.seed)
        return [Workload(ONCE, rows, options.max_length, forced=False)]
    names = workloads_of(options)
    found = []
    if "forced" in names and not options.max_length_doubling:
        rows = random_rows(model, most, (options.source, options.source), options.seed)
        found.append(Workload("forced", rows, options.steps + 1, forced=True))
    if "text" in names:
        lines = read_lines(options.text, options.sentences)
        split = bench.helper("split", {"lines": lines})
        if split["eos"] != model.eos or split["pieces"] > model.vocabulary:
            raise BenchmarkError(
                f"the tokenizer has {split['pieces']} ids and EOS {split['eos']}, the model "
                f"{model.vocabulary} and {model.eos}; they do not belong together"
            )
        bench.log(f"{options.text}: {len(lines)} sentences, {split['pieces']} pieces")
        found.append(Workload("text", fit(split["rows"], model.eos), options.max_length, False))
    return found


def chosen_engines(options: argparse.Namespace, model: Model, bench: Bench) -> list[str]:
    """Engines to start; those that cannot take part get a status that says why."""
    names = options.engines or [
        name
        for name, spec in ENGINES.items()
        if (spec.cpu if options.device == "cpu" else spec.gpu) and not spec.rounded
    ]
    found = []
    for name in names:
        spec = ENGINES[name]
        if options.device == "gpu" and not spec.any_dtype:
            bench.status[name] = "runs on the CPU only here"
        elif options.device == "cpu" and not spec.cpu:
            bench.status[name] = "runs on a GPU only"
        elif options.max_length_doubling and not name.startswith(OURS):
            continue
        elif model.preset is not None and spec.own_weights:
            bench.status[name] = "has weights of its own, so it is left out with --model"
        elif model.immovable is not None and not name.startswith(OURS):
            bench.status[name] = f"cannot run {model.preset}: {model.immovable}"
        else:
            found.append(name)
    return found


def reasons(bench: Bench) -> str:
    """Why engines do not run, a line each."""
    return "".join(f"\n  {name}: {status}" for name, status in bench.status.items())


def takes_part(workload: Workload, engine: str) -> bool:
    """keras-hub has weights of its own and would end other sentences elsewhere."""
    return workload.forced or not ENGINES[engine].own_weights


def doubled(options: argparse.Namespace, bench: Bench, workload: Workload) -> list[Workload]:
    """The sentences that end by themselves, with their limit and with twice that."""
    workload = Workload(ONCE, workload.rows, workload.max_length, forced=False)
    bench.give(workload, list(bench.workers))
    kept = set(range(len(workload.rows)))
    for cell in options.cells:
        for name in list(bench.workers):
            bench.measure(workload, cell, name, round=0)
            ids = bench.ids.get((workload.name, cell, name), [])
            kept -= {i for i, row in enumerate(ids) if len(row) == workload.max_length - 1}
    bench.ids.clear()
    bench.log(f"{len(kept)} of {len(workload.rows)} sentences end within {workload.max_length}")
    if not kept:
        raise BenchmarkError(
            f"no sentence ends within --max-length {workload.max_length} under every engine and "
            "number of beams; raise it, or give a trained --model"
        )
    rows = [workload.rows[i] for i in sorted(kept)]
    return [
        Workload(ONCE, rows, options.max_length, forced=False),
        Workload(TWICE, rows, 2 * options.max_length, forced=False),
    ]


def machine_rows(options: argparse.Namespace) -> list[int]:
    """Rows of the matrix products to measure."""
    return sorted({*ROWS, *(batch * beams for batch, beams in options.cells)})


def write(result: dict[str, Any], path: Path) -> None:
    """Write the JSON file: beside it first, so that no half of it is left behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}-{os.getpid()}")
    beside.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
