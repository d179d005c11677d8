"""The result of a run: everything that is printed, and every sample."""

from __future__ import annotations

import statistics
from typing import Any

from generation import report
from generation.bench import Bench, Cell
from generation.limits import limits
from generation.model import LOGITS_DEVIATION, Model
from generation.workload import Workload

#: Mean length of greedy results of random weights, where they end by themselves.
RANDOM_LENGTH = 25

#: Workloads that differ in max_length alone.
ONCE, TWICE = "max_length", "twice max_length"


def wanted_length(max_length: int) -> int:
    """The mean length to aim at: well below the limit, so that most sentences end before it."""
    return min(RANDOM_LENGTH, max_length // 2)


def outcome(
    model: Model, bench: Bench, workloads: list[Workload], cells: list[Cell], rounds: int
) -> dict[str, Any]:
    """What `bench` has measured, and what follows from it."""
    steps = {w.name: w.max_length - 1 if w.forced else None for w in workloads}
    summaries = report.summaries(bench.samples, steps)
    rates = bench.machine_rates()
    doubling = report.doubling_ratios(bench.samples, ONCE, TWICE)
    for row in doubling:
        cell, engine = tuple(row["cell"]), row["engine"]
        row["same_ids"] = bench.ids[ONCE, cell, engine] == bench.ids[TWICE, cell, engine]
    return {
        "settings": {
            "device": bench.settings.device,
            "dtype": bench.settings.dtype,
            "threads": bench.settings.threads,
            "seed": bench.settings.seed,
            "rounds": rounds,
            "cells": cells,
        },
        "model": vars(model),
        "workloads": {w.name: described(w, model, bench) for w in workloads},
        "status": bench.status,
        "compilations": compilations(bench),
        "agreement": bench.agreement(),
        "summaries": summaries,
        "ratios": report.ratios(bench.samples),
        "doubling": doubling,
        "rates": rates,
        "limits": shares_of_limits(model, bench, workloads, cells, rates, summaries),
        "disturbance": bench.disturbance(),
        "samples": bench.samples,
        "machine_samples": bench.machine_samples,
    }


def described(workload: Workload, model: Model, bench: Bench) -> dict[str, Any]:
    """A workload in words and numbers."""
    sizes = [len(row) for row in workload.rows]
    found = {
        "sources": len(sizes),
        "mean_source_ids": statistics.fmean(sizes),
        "max_length": workload.max_length,
        "forced": workload.forced,
    }
    if workload.forced:
        return {**found, "note": f"sources of {sizes[0]} ids, {workload.max_length - 1} steps"}
    by_beams: dict[int, list[int]] = {}
    for (name, (_, beams), _), rows in bench.ids.items():
        if name == workload.name:
            by_beams.setdefault(beams, []).extend(map(len, rows))
    if not by_beams:
        return {**found, "note": "no engine has run it"}
    results = ", ".join(
        f"{statistics.fmean(lengths):.1f} with {beams} beam{'s' if beams > 1 else ''}"
        for beams, lengths in sorted(by_beams.items())
    )
    lengths = [length for part in by_beams.values() for length in part]
    full = sum(length == workload.max_length - 1 for length in lengths) / len(lengths)
    note = (
        f"{len(sizes)} sources of {statistics.fmean(sizes):.1f} ids on average; results: "
        f"{results}; {100 * full:.1f} % cut at max_length {workload.max_length}"
    )
    if model.preset is None:
        note += (
            f"; random weights, logits with a deviation of {LOGITS_DEVIATION:.0f}, and a bias of "
            f"EOS under which greedy results have about {wanted_length(workload.max_length)} ids"
        )
    spread = {
        beams: statistics.quantiles(lengths, n=20) if len(lengths) > 1 else lengths
        for beams, lengths in by_beams.items()
    }
    return {**found, "note": note, "twentieths_of_result_lengths_by_beams": spread, "cut": full}


def compilations(bench: Bench) -> dict[str, dict[str, int | None]]:
    """Programs that each engine had compiled after the warm-up, and at the end."""
    found: dict[str, dict[str, int | None]] = {}
    for sample in bench.samples:
        count = found.setdefault(sample["engine"], {"after_warm_up": None, "at_end": None})
        if not sample["round"]:
            count["after_warm_up"] = sample["compilations"]
        count["at_end"] = sample["compilations"]
    return found


def shares_of_limits(
    model: Model,
    bench: Bench,
    workloads: list[Workload],
    cells: list[Cell],
    rates: dict[str, Any],
    summaries: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """The machine's limit in each cell, and each engine's share of it.

    Only of forced workloads: in the others rows leave the batch as they end. The weights of a
    model that only keras_s2s can run are not counted here.
    """
    if model.immovable is not None:
        return []
    width = 4 if bench.settings.dtype == "float32" else 2
    found = []
    for workload in (w for w in workloads if w.forced):
        for cell in cells:
            limit = limits(
                model,
                cell,
                rates,
                source=len(workload.rows[0]),
                steps=workload.max_length - 1,
                width=width,
                gpu=bench.settings.device == "gpu",
            )
            shares = {
                s["engine"]: s["tokens_per_second"] / limit["limit"]
                for s in summaries
                if s["workload"] == workload.name and tuple(s["cell"]) == cell
            }
            found.append({"workload": workload.name, "cell": list(cell), **limit, "shares": shares})
    return found
