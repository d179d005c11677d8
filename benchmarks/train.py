"""Speed of training: keras_s2s on each backend, transformers in a PyTorch loop, keras-hub, Marian.

    python benchmarks/train.py
    python benchmarks/train.py --sizes tiny --rounds 5
    python benchmarks/train.py --engines keras_s2s,transformers --threads 1

See benchmarks/README.md for what is measured and how.
"""

from __future__ import annotations

import argparse
import datetime
import shlex
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import generate
from generation import machine
from generation.bench import cpu_used, rotated
from generation.engines import Settings, missing
from generation.model import BenchmarkError, random_state
from generation.worker import Worker, WorkerError
from rich.console import Console
from training_speed import report
from training_speed.engines import PREFIX, TRAINERS
from training_speed.job import SIZES, sized

#: Seconds that a measurement takes, about.
SECONDS = 10.0


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
        prog="benchmarks/train.py", description=(__doc__ or "").partition("\n")[0]
    )
    add = parser.add_argument
    add("--sizes", type=names_of(SIZES), default=["tiny", "small"], help="(default: tiny,small)")
    add(
        "--engines",
        type=names_of(TRAINERS),
        default=list(TRAINERS),
        help=f"of {', '.join(TRAINERS)}; keras_s2s and keras_hub mean all of theirs",
    )
    add("--rounds", type=generate.positive, default=3, help="of every engine (default: 3)")
    add("--steps", type=generate.positive, help="in a measurement (default: about ten seconds)")
    add("--threads", type=generate.positive, help="cores of an engine (default: all)")
    add("--seed", type=int, default=0, help="of weights and batches (default: 0)")
    add(
        "--output",
        type=Path,
        default=Path("runs/benchmarks/train.json"),
        help="JSON file with every sample (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def names_of(known: Any) -> Any:
    """The type of an option that takes names, separated by commas; `keras_s2s` stands for every
    `keras_s2s-...`."""

    def parsed(text: str) -> list[str]:
        found: list[str] = []
        for part in text.split(","):
            named = [name for name in known if part in (name, name.partition("-")[0])]
            if not named:
                raise argparse.ArgumentTypeError(f"{part!r} is none of {', '.join(known)}")
            found += named
        return list(dict.fromkeys(found))

    return parsed


def run(options: argparse.Namespace) -> int:
    """Measure, print the tables and write the JSON file."""
    log = Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print
    begun = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    status: dict[str, str] = {}
    samples: list[dict[str, Any]] = []
    losses: dict[str, dict[str, list[float] | None]] = {}
    threads = generate.threads(options)
    with tempfile.TemporaryDirectory(prefix="train-") as folder:
        for size in options.sizes:
            own = Path(folder) / size
            own.mkdir()
            settings = Settings(str(own), "cpu", "float32", threads, options.seed)
            model, _ = sized(size)
            model.write(own, random_state(model, options.seed))
            losses[size] = {}
            measure(options, settings, status, samples, losses[size], log)
    if not samples:
        raise BenchmarkError(f"no engine ran: {status}")
    elapsed = sum(s["elapsed"] for s in samples)
    result = {
        "command": shlex.join(["python", *sys.argv]),
        "date": begun,
        **machine.description(),
        "settings": {"threads": threads, "rounds": options.rounds, "seed": options.seed},
        "sizes": {size: described(size) for size in options.sizes},
        "status": status,
        "summaries": report.summaries(samples),
        "agreement": report.agreement(losses),
        "disturbance": {
            what: sum(s["cpu_seconds"][what] for s in samples) / elapsed
            for what in ("idle", "foreign", "stolen")
        },
        "samples": samples,
    }
    generate.write(result, options.output)
    report.print_report(result, Console(width=None if sys.stdout.isatty() else 140))
    print(f"written: {options.output}")
    return 0


def measure(
    options: argparse.Namespace,
    settings: Settings,
    status: dict[str, str],
    samples: list[dict[str, Any]],
    losses: dict[str, list[float] | None],
    log: Any,
) -> None:
    """Start the engines on one size, warm them up, and visit them in turn, round by round."""
    workers: dict[str, Worker] = {}
    steps: dict[str, int] = {}
    size = Path(settings.folder).name
    try:
        for name in options.engines:
            spec = TRAINERS[name]
            if absent := missing(spec):
                status[name] = f"not installed: {', '.join(absent)}"
                continue
            try:
                worker = Worker(PREFIX + name, replace(settings), spec.backend)
                workers[name] = worker
                # Compiles, and then tells how many steps a measurement has.
                answer = worker.ask({"steps": options.steps or 4})
                losses[name] = answer["losses"]
                if not options.steps:
                    answer = worker.ask({"steps": 4})
            except WorkerError as error:
                status[name] = f"failed on {size}: {error}"
                log(f"{name}: {status[name]}")
                if name in workers:
                    workers.pop(name).close()
                continue
            steps[name] = options.steps or max(2, round(4 * SECONDS / answer["seconds"]))
            status.setdefault(name, "ran")
            worker.wait_until_quiet()
            log(f"{size} {name}: ready, {steps[name]} steps in a measurement")
        for round_ in range(1, options.rounds + 1):
            for name in rotated(list(workers), round_):
                worker = workers[name]
                others = [other for other in workers.values() if other is not worker]
                before = cpu_used(worker, others)
                answer = worker.ask({"steps": steps[name]})
                after = cpu_used(worker, others)
                samples.append(
                    {
                        "size": size,
                        "engine": name,
                        "round": round_,
                        "seconds": answer["seconds"],
                        "tokens": answer["tokens"],
                        "elapsed": answer["seconds"],
                        "cpu_seconds": {what: after[what] - before[what] for what in after},
                    }
                )
                worker.wait_until_quiet()
            rates = {
                s["engine"]: round(report.rate(s))
                for s in samples
                if (s["size"], s["round"]) == (size, round_)
            }
            log(f"{size} round {round_} of {options.rounds}: {rates}")
    finally:
        for worker in workers.values():
            worker.close()


def described(size: str) -> str:
    """A size in words."""
    model, job = sized(size)
    return (
        f"{model.encoder_layers}+{model.decoder_layers} layers, hidden {model.hidden}, "
        f"feed-forward {model.ffn}, vocabulary {model.vocabulary:,}, "
        f"batches of {job.rows} x {job.length}"
    )


if __name__ == "__main__":
    sys.exit(main())
