"""The order of a run: a warm-up, then rounds that visit every engine for every cell in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generation.engines import (
    ENGINES,
    OURS,
    CTranslate2,
    Settings,
    converted,
    first_backend,
    missing,
)
from generation.machine import busy_seconds
from generation.worker import Worker, WorkerError
from generation.workload import Workload

Cell = tuple[int, int]
Log = Callable[[str], None]


@dataclass
class Bench:
    """Workers, and what they have answered so far.

    Attributes:
        settings: of every worker.
        log: takes a line for a person to read.
        workers: those that run, by engine.
        status: of every engine that was asked for: "ran", or why it did not.
        samples: one for each answer: workload, cell, engine, round (0 is the warm-up), seconds,
            tokens, and the processor time that this and other programs took meanwhile.
        ids: best hypotheses of the last warm-up, by workload, cell and engine.
        compilations: programs that an engine has compiled, as it last said.
    """

    settings: Settings
    log: Log
    workers: dict[str, Worker] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    ids: dict[tuple[str, Cell, str], list[list[int]]] = field(default_factory=dict)
    compilations: dict[str, int | None] = field(default_factory=dict)
    machine: Worker | None = None
    machine_samples: list[dict[str, Any]] = field(default_factory=list)

    # ------------------------------------------------------------------ workers

    def start(self, names: Iterable[str]) -> None:
        """Start the engines that are installed, one after another."""
        self.machine = Worker("limits", self.settings, None)
        for name in names:
            spec = ENGINES[name]
            if absent := missing(spec):
                self.status[name] = f"not installed: {', '.join(absent)}"
            elif self.settings.dtype != "float32" and not spec.any_dtype:
                self.status[name] = "runs in float32 only here"
            else:
                self._guard(name, lambda name=name, spec=spec: self._start(name, spec.backend))

    def _start(self, name: str, backend: str | None) -> None:
        done = converted(Path(self.settings.folder)).is_dir()
        if issubclass(ENGINES[name].make, CTranslate2) and not done:
            self.helper("convert", {})
        self.workers[name] = Worker(name, self.settings, backend)
        self.status[name] = "ran"
        self.log(f"{name}: ready after {self.workers[name].ready_seconds:.1f} s")

    def helper(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        """One answer of a worker that prepares something."""
        worker = None
        try:
            worker = Worker(kind, self.settings, first_backend())
            return worker.ask(request)
        except WorkerError as error:
            raise WorkerError(f"{kind}: {error}") from None
        finally:
            if worker is not None:
                worker.close()

    def close(self) -> None:
        """End every process."""
        for worker in [*self.workers.values(), *([self.machine] if self.machine else [])]:
            worker.close()
        self.workers = {}

    def _guard(self, name: str, action: Callable[[], Any]) -> Any:
        """Run `action`; where the worker fails, note why and go on without it."""
        try:
            return action()
        except WorkerError as error:
            self.status[name] = f"failed: {error}"
            self.log(f"{name}: {self.status[name]}")
            if name in self.workers:
                self.workers.pop(name).close()
            return None

    # ------------------------------------------------------------------ measuring

    def give(self, workload: Workload, engines: Iterable[str]) -> None:
        """Hand the sources of a workload to the engines."""
        request = {"sources": workload.name, "rows": workload.rows}
        for name in [name for name in engines if name in self.workers]:
            self._guard(name, lambda name=name: self.workers[name].ask(request))

    def measure(self, workload: Workload, cell: Cell, name: str, round: int) -> None:
        """One generation by one engine, while the others wait; adds a sample."""
        request = {
            "cell": cell,
            "sources": workload.name,
            "max_length": workload.max_length,
            "forced": workload.forced,
        }
        others = [worker for other, worker in self.workers.items() if other != name]
        worker = self.workers[name]
        before, begin = cpu_used(worker, others), time.perf_counter()
        answer = self._guard(name, lambda: worker.ask(request))
        elapsed, after = time.perf_counter() - begin, cpu_used(worker, others)
        if answer is None:
            return
        used = {what: after[what] - before[what] for what in after}
        self.compilations[name] = answer["compilations"]
        if round == 0:
            self.ids[workload.name, cell, name] = answer["ids"]
        self.samples.append(
            {
                "workload": workload.name,
                "cell": list(cell),
                "engine": name,
                "round": round,
                "seconds": answer["seconds"],
                "tokens": answer["tokens"],
                "compilations": answer["compilations"],
                "elapsed": elapsed,
                "cpu_seconds": used,
                "quiet_after": worker.wait_until_quiet(),
            }
        )

    def measure_machine(self, rows: list[int]) -> None:
        """The machine's own rates, once."""
        assert self.machine is not None
        self.machine_samples.append(self.machine.ask({"rows": rows}))
        self.machine.wait_until_quiet()

    def run(
        self,
        workloads: list[Workload],
        cells: list[Cell],
        rounds: int,
        takes_part: Callable[[Workload, str], bool],
        machine_rows: list[int],
    ) -> None:
        """Warm up, then measure `rounds` times.

        Args:
            workloads: in this order within a round.
            cells: batch and beams.
            rounds: how often each engine meets each cell after the warm-up.
            takes_part: whether an engine takes part in a workload.
            machine_rows: rows of the matrix products that are measured in every round.
        """
        for workload in workloads:
            self.give(workload, [n for n in self.workers if takes_part(workload, n)])
        for round in range(rounds + 1):
            begin = time.perf_counter()
            if round:
                self.measure_machine(machine_rows)
            for workload in workloads:
                for cell in cells:
                    for name in rotated(list(self.workers), round):
                        if name in self.workers and takes_part(workload, name):
                            self.measure(workload, cell, name, round)
                            if not round:
                                self._tell_warm_up()
            what = f"round {round} of {rounds}" if round else "warm-up"
            self.log(f"{what}: {time.perf_counter() - begin:.0f} s")
            if not round:
                self._tell_agreement()

    def _tell_warm_up(self) -> None:
        if not self.samples:
            return
        last = self.samples[-1]
        batch, beams = last["cell"]
        self.log(
            f"  warm-up {last['workload']} {batch}x{beams} {last['engine']}: "
            f"{last['seconds']:.1f} s for {last['tokens']} tokens"
        )

    def _tell_agreement(self) -> None:
        for found in self.agreement():
            if found["equal_rows"] < 1:
                batch, beams = found["cell"]
                self.log(
                    f"  {found['workload']} {batch}x{beams}: {percent(found['equal_rows'])} of "
                    f"the rows of {found['engine']} have the ids of {found['reference']}"
                )

    # ------------------------------------------------------------------ what came of it

    def machine_rates(self) -> dict[str, Any]:
        """Medians of the machine's rates over the rounds."""
        first = self.machine_samples[0]
        return {
            "library": first["library"],
            "device": first["device"],
            "memory": statistics.median(s["memory"] for s in self.machine_samples),
            "matrix": {
                rows: statistics.median(s["matrix"][rows] for s in self.machine_samples)
                for rows in first["matrix"]
            },
        }

    def disturbance(self) -> dict[str, float]:
        """Processor time that something else than the measured engine took, in cores: "idle" of
        the other workers, "foreign" of programs that are none of ours, "stolen" by the host."""
        timed = [s for s in self.samples if s["round"]]
        elapsed = sum(s["elapsed"] for s in timed)
        whats = ("idle", "foreign", "stolen")
        return {what: sum(s["cpu_seconds"][what] for s in timed) / elapsed for what in whats}

    def agreement(self) -> list[dict[str, Any]]:
        """Share of rows with the ids of a reference engine, for each workload, cell and engine.

        The reference is the first of transformers, CTranslate2 and our own engines that ran.
        """
        found = []
        for workload, cell in dict.fromkeys((key[0], key[1]) for key in self.ids):
            by_engine = {
                name: rows
                for (w, c, name), rows in self.ids.items()
                if (w, c) == (workload, cell) and not ENGINES[name].own_weights
            }
            order = [n for n in ("transformers", "ctranslate2") if n in by_engine]
            order += [n for n in by_engine if n.startswith(OURS)]
            for name in order[1:]:
                pairs = zip(by_engine[name], by_engine[order[0]], strict=True)
                equal = [mine == theirs for mine, theirs in pairs]
                found.append(
                    {
                        "workload": workload,
                        "cell": list(cell),
                        "engine": name,
                        "reference": order[0],
                        "equal_rows": sum(equal) / len(equal),
                    }
                )
        return found


def percent(share: float) -> str:
    """A share in per cent, with as many digits as tell it from the whole."""
    return "100 %" if share == 1 else f"{min(100 * share, 99.9):.1f} %"


def rotated(names: list[str], by: int) -> list[str]:
    """`names` from another beginning in each round, so that none is always the first."""
    by %= max(len(names), 1)
    return names[by:] + names[:by]


def cpu_used(worker: Worker, others: list[Worker]) -> dict[str, float]:
    """Processor seconds so far, of the worker that is measured and of everything else."""
    busy, stolen = busy_seconds() or (0.0, 0.0)
    mine, idle = worker.cpu_seconds() or 0.0, sum(w.cpu_seconds() or 0.0 for w in others)
    return {
        "engine": mine,
        "idle": idle,
        "foreign": max(busy - mine - idle - time.process_time(), 0.0),
        "stolen": stolen,
    }
