"""Throughput and latency of `keras-s2s serve`, beside CTranslate2 and beside the model itself.

    python benchmarks/serve.py
    python benchmarks/serve.py --clients 1,32 --rounds 1 --seconds 5
    python benchmarks/serve.py --free

Real servers and a process of clients on one machine; every load is put on every server in turn.
See benchmarks/README.md for what is measured and how.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import shlex
import signal
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import generate
from generation import machine
from generation.engines import Settings, first_backend
from generation.model import (
    OUTPUT_BIAS,
    POSITIONS,
    SIZES,
    BenchmarkError,
    Model,
    check_sizes,
    random_state,
)
from generation.outcome import wanted_length
from generation.worker import Worker, WorkerError
from generation.workload import Workload, random_rows
from rich.console import Console
from serving_load import report
from serving_load.bench import CTRANSLATE2, INSIDE, SERVERS, Bench

#: Modules without which nothing runs, and those of CTranslate2.
NEEDED = ("starlette", "uvicorn", "prometheus_client")
CTRANSLATE2_NEEDS = ("ctranslate2", "torch", "transformers")


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


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options; argparse ends the program where they cannot be read."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/serve.py", description=(__doc__ or "").partition("\n")[0]
    )
    add, positive = parser.add_argument, generate.positive
    names = (*SERVERS, INSIDE)
    add("--clients", type=counts, default=[1, 8, 32], help="at the same time (default: 1,8,32)")
    add("--rounds", type=positive, default=3, help="of every load (default: 3)")
    add("--seconds", type=positive, default=20, help="in which requests are sent (default: 20)")
    add("--engines", type=engines, default=list(names), help=f"of {', '.join(names)}")
    add("--backend", choices=("torch", "jax", "tensorflow"), default=first_backend())
    add("--threads", type=positive, help="cores of an engine (default: all)")
    add("--max-batch-size", type=positive, default=32, help="of the servers (default: 32)")
    add("--max-wait-ms", type=float, default=5.0, help="of the servers (default: 5)")
    add("--size", choices=tuple(SIZES), default="marian", help="of the random model")
    add("--source", type=positive, default=32, help="ids of a random source (default: 32)")
    add("--steps", type=positive, default=63, help="ids of a result (default: 63)")
    add(
        "--free",
        action="store_true",
        help="sources of 4 to --source ids, and results that end by EOS, after --steps at the "
        "latest",
    )
    add("--seed", type=int, default=0, help="of weights and random sources (default: 0)")
    add(
        "--output",
        type=Path,
        default=Path("runs/benchmarks/serve.json"),
        help="JSON file with every sample (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def counts(text: str) -> list[int]:
    """`1,8,32` as numbers."""
    return list(dict.fromkeys(generate.positive(part.strip()) for part in text.split(",")))


def engines(text: str) -> list[str]:
    """Names of engines, separated by commas."""
    names = text.split(",")
    known = (*SERVERS, INSIDE)
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
    return list(dict.fromkeys(names))


def run(options: argparse.Namespace) -> int:
    """Measure, print the tables and write the JSON file."""
    names = check(options)
    log = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    begun = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    here = machine.description()
    with tempfile.TemporaryDirectory(prefix="serve-") as folder:
        settings = Settings(folder, "cpu", "float32", generate.threads(options), options.seed)
        model = make_model(options, settings)
        least = 4 if options.free else options.source
        rows = random_rows(model, max(options.clients), (least, options.source), options.seed)
        workload = Workload("load", rows, options.steps + 1, forced=not options.free)
        bench = Bench(
            settings,
            options.backend,
            workload,
            options.max_batch_size,
            options.max_wait_ms,
            log.print,
        )
        try:
            bench.start(names)
            bench.run(options.clients, options.rounds, options.seconds)
        finally:
            bench.close()
    found = report.summaries(bench.samples)
    result = {
        "command": shlex.join(["python", *sys.argv]),
        "date": begun,
        **here,
        "settings": {
            "backend": options.backend,
            "threads": settings.threads,
            "clients": options.clients,
            "rounds": options.rounds,
            "seconds": options.seconds,
            "max_batch_size": options.max_batch_size,
            "max_wait_ms": options.max_wait_ms,
            "seed": options.seed,
        },
        "model": vars(model),
        "workload": described(workload, bench),
        "summaries": found,
        "goals": report.goals(bench.samples, found),
        "equal": bench.equal,
        "disturbance": bench.disturbance(),
        "samples": bench.samples,
    }
    generate.write(result, options.output)
    report.print_report(result, Console(width=None if sys.stdout.isatty() else 140))
    print(f"written: {options.output}")
    return 0


def check(options: argparse.Namespace) -> list[str]:
    """Refuse what cannot run; returns the engines that do.

    Raises:
        BenchmarkError: a missing library, or too few positions.
    """
    for name, value in (("--steps", options.steps + 1), ("--source", options.source)):
        if value > POSITIONS:
            raise BenchmarkError(
                f"{name}: {value} positions are needed, the models have {POSITIONS}"
            )
    needed = [*NEEDED, options.backend]
    if CTRANSLATE2 in options.engines:
        needed += CTRANSLATE2_NEEDS
    missing = [name for name in dict.fromkeys(needed) if importlib.util.find_spec(name) is None]
    if missing:
        raise BenchmarkError(
            f'not installed: {", ".join(missing)}; pip install "keras_s2s[serve,test]" and '
            f"a backend, or leave {CTRANSLATE2} out of --engines"
        )
    if options.free and options.source < 4:
        raise BenchmarkError(f"--free --source {options.source}: sources have 4 ids at least")
    if not set(options.engines) & set(SERVERS):
        raise BenchmarkError(f"--engines: no server; give some of {', '.join(SERVERS)}")
    return options.engines


def make_model(options: argparse.Namespace, settings: Settings) -> Model:
    """Write the random model that all engines read."""
    folder = Path(settings.folder)
    sizes: dict[str, Any] = dict(SIZES[options.size])
    layers = sizes.pop("layers")
    model = Model(encoder_layers=layers, decoder_layers=layers, output_bias=options.free, **sizes)
    check_sizes(model)
    state = random_state(model, options.seed)
    model.write(folder, state)
    if options.free:
        rows = random_rows(model, 16, (4, options.source), options.seed + 1)
        worker = Worker("calibrate", settings, first_backend())
        try:
            length = wanted_length(options.steps + 1)
            state[OUTPUT_BIAS][model.eos] = worker.ask({"rows": rows, "length": length})["bias"]
        finally:
            worker.close()
        model.write(folder, state)
    return model


def described(workload: Workload, bench: Bench) -> dict[str, Any]:
    """The workload in words and numbers."""
    sources = statistics.fmean(map(len, workload.rows))
    tokens = sum(s["tokens"] for s in bench.samples) / sum(s["requests"] for s in bench.samples)
    note = f"requests of one source of {sources:.1f} ids, results of {tokens:.1f} ids on average"
    return {
        "sources": len(workload.rows),
        "mean_source_ids": sources,
        "mean_result_ids": tokens,
        "max_length": workload.max_length,
        "forced": workload.forced,
        "note": note,
    }


if __name__ == "__main__":
    # Otherwise the servers would go on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
