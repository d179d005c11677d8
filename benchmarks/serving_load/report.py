"""Rates, latencies and goals from samples, and how they are printed.

Everything printed is also in the result that is written as JSON.
"""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
from generation.bench import percent
from rich.console import Console
from rich.table import Table

from serving_load.bench import BATCHES, CTRANSLATE2, HALF, INSIDE, ONE, Load

PERCENTILES = (50, 95, 99)

TITLES = {
    INSIDE: "in process, one call for all rows",
    BATCHES: "server, batches",
    ONE: "server, one at a time",
    CTRANSLATE2: "CTranslate2 behind the server",
}


def summaries(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each engine under each load.

    Returns:
        engine, load, requests_per_second (median over rounds), lowest, highest,
        tokens_per_second (median), p50, p95, p99 in seconds over all requests of all rounds, by
        round `p99_over_p50`, and the mean rows of a batch where there are batches.
    """
    found = []
    for engine, load in dict.fromkeys((s["engine"], s["load"]) for s in samples):
        here = [s for s in samples if (s["engine"], s["load"]) == (engine, load)]
        rates = sorted(s["requests"] / s["seconds"] for s in here)
        latencies = [each for s in here for each in s["latencies"]]
        points = np.percentile(latencies, PERCENTILES).tolist()
        batches = sum(s.get("batches", 0) for s in here)
        found.append(
            {
                "engine": engine,
                "load": load,
                "requests": sum(s["requests"] for s in here),
                "requests_per_second": statistics.median(rates),
                "lowest": rates[0],
                "highest": rates[-1],
                "tokens_per_second": statistics.median(s["tokens"] / s["seconds"] for s in here),
                **{f"p{k}": point for k, point in zip(PERCENTILES, points, strict=True)},
                "batch_rows": sum(s["batch_rows"] * s["batches"] for s in here) / batches
                if batches
                else None,
            }
        )
    return found


def goals(samples: list[dict[str, Any]], found: list[dict[str, Any]]) -> dict[str, Any]:
    """What the server with batches is to reach, at the largest number of clients.

    Ratios of rates are taken within a round, where both met the machine in the same state; each is
    lowest, median, highest.
    """
    most = max((s["load"] for s in samples if isinstance(s["load"], int)), default=0)
    rates: dict[str, dict[int, float]] = {}
    for s in samples:
        if s["load"] == most:
            rates.setdefault(s["engine"], {})[s["round"]] = s["tokens"] / s["seconds"]
    result: dict[str, Any] = {"clients": most, "throughput": {}, "p99_over_p50_at_half_load": {}}
    for peer in (ONE, CTRANSLATE2, INSIDE):
        rounds = sorted(rates.get(BATCHES, {}).keys() & rates.get(peer, {}).keys())
        if rounds:
            ratios = sorted(rates[BATCHES][r] / rates[peer][r] for r in rounds)
            result["throughput"][peer] = [ratios[0], statistics.median(ratios), ratios[-1]]
    for each in found:
        if each["load"] == HALF:
            result["p99_over_p50_at_half_load"][each["engine"]] = each["p99"] / each["p50"]
    return result


def print_report(result: dict[str, Any], console: Console) -> None:
    """The tables of a result."""
    rows = result["summaries"]
    loads: list[Load] = list(dict.fromkeys(row["load"] for row in rows))
    by_key = {(row["engine"], row["load"]): row for row in rows}
    engines = [name for name in TITLES if any(row["engine"] == name for row in rows)]
    workload = result["workload"]
    console.print()
    console.print(workload["note"], highlight=False)
    _print(console, "requests/s: median (lowest to highest)", engines, loads, by_key, _rate)
    _print(console, "tokens/s: median", engines, loads, by_key, _tokens)
    _print(console, "latency in ms: p50, p95, p99", engines, loads, by_key, _latency)
    _print(console, "rows of a batch: mean", engines, loads, by_key, _batch)
    _print_goals(result["goals"], console)
    for engine, (equal, count) in result["equal"].items():
        console.print(
            f"{TITLES[engine]}: {percent(equal / max(count, 1))} of {count} replies have the ids "
            "that the model generates in process",
            highlight=False,
        )
    machine, taken = result["machine"], result["disturbance"]
    cores = f"{result['settings']['threads']} of {machine['cores']} cores"
    console.print(f"machine: {machine['processor']}, {cores}", highlight=False)
    note = "" if max(taken["foreign"], taken["stolen"]) < 0.05 else ": these figures are disturbed"
    console.print(
        f"cores taken meanwhile by clients and idle engines {taken['clients_and_idle']:.2f}, other "
        f"programs {taken['foreign']:.2f}, the host {taken['stolen']:.2f}{note}",
        highlight=False,
    )


def _print(
    console: Console,
    title: str,
    engines: list[str],
    loads: list[Load],
    by_key: dict[tuple[str, Load], dict[str, Any]],
    text: Any,
) -> None:
    console.print(title, highlight=False)
    table = Table()
    table.add_column("clients", no_wrap=True)
    for load in loads:
        table.add_column("half load" if load == HALF else str(load), justify="right")
    for engine in engines:
        texts = [text(by_key[engine, load]) if (engine, load) in by_key else "-" for load in loads]
        table.add_row(TITLES[engine], *texts)
    console.print(table)


def _rate(row: dict[str, Any]) -> str:
    return f"{row['requests_per_second']:.2f} ({row['lowest']:.2f} to {row['highest']:.2f})"


def _tokens(row: dict[str, Any]) -> str:
    return f"{row['tokens_per_second']:.0f}"


def _latency(row: dict[str, Any]) -> str:
    return ", ".join(f"{1000 * row[f'p{k}']:.0f}" for k in PERCENTILES)


def _batch(row: dict[str, Any]) -> str:
    return "-" if row["batch_rows"] is None else f"{row['batch_rows']:.1f}"


def _print_goals(found: dict[str, Any], console: Console) -> None:
    for peer, (lowest, middle, highest) in found["throughput"].items():
        console.print(
            f"at {found['clients']} clients the server has {middle:.2f} ({lowest:.2f} to "
            f"{highest:.2f}) times the throughput of: {TITLES[peer]}",
            highlight=False,
        )
    for engine, ratio in found["p99_over_p50_at_half_load"].items():
        console.print(f"{TITLES[engine]}: p99 is {ratio:.2f} x p50 at half load", highlight=False)
