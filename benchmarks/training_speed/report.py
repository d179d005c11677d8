"""Rates and ratios from samples, and how they are printed.

Everything printed is also in the result that is written as JSON.
"""

from __future__ import annotations

import statistics
from typing import Any

from rich.console import Console
from rich.table import Table

REFERENCE = "transformers"
#: Largest difference of the losses of equal steps in two engines, relative.
EQUAL = 1e-4


def summaries(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each engine on each size.

    Returns:
        engine, size, target tokens per second (`rate`, the median over rounds, `lowest`,
        `highest`), and `ratio`: lowest, median and highest of the rate over transformers' in the
        same round; None where that did not run.
    """
    found = []
    for size, engine in dict.fromkeys((s["size"], s["engine"]) for s in samples):
        here = {s["round"]: s for s in samples if (s["size"], s["engine"]) == (size, engine)}
        peers = {s["round"]: s for s in samples if (s["size"], s["engine"]) == (size, REFERENCE)}
        rates = sorted(map(rate, here.values()))
        ratios = sorted(rate(here[r]) / rate(peers[r]) for r in here.keys() & peers.keys())
        found.append(
            {
                "size": size,
                "engine": engine,
                "rate": statistics.median(rates),
                "lowest": rates[0],
                "highest": rates[-1],
                "ratio": [ratios[0], statistics.median(ratios), ratios[-1]] if ratios else None,
            }
        )
    return found


def rate(sample: dict[str, Any]) -> float:
    """Target tokens per second of a sample."""
    return float(sample["tokens"] / sample["seconds"])


def agreement(losses: dict[str, dict[str, list[float] | None]]) -> list[dict[str, Any]]:
    """Largest relative difference of each engine's first losses from those of a reference.

    Args:
        losses: by size and engine, of the first steps without dropout; None where an engine has
            weights of its own.
    """
    found = []
    for size, by_engine in losses.items():
        told = {name: values for name, values in by_engine.items() if values is not None}
        order = sorted(told, key=lambda name: name != REFERENCE)
        for name in order[1:]:
            pairs = zip(told[name], told[order[0]], strict=True)
            largest = max(abs(mine - theirs) / abs(theirs) for mine, theirs in pairs)
            found.append(
                {
                    "size": size,
                    "engine": name,
                    "reference": order[0],
                    "largest_difference": largest,
                    "equal": largest <= EQUAL,
                }
            )
    return found


def print_report(result: dict[str, Any], console: Console) -> None:
    """The tables of a result."""
    for size, described in result["sizes"].items():
        table = Table(
            title=f"{size}: {described}\ntarget tokens/s in training", title_justify="left"
        )
        table.add_column("engine")
        table.add_column("median (lowest to highest)", justify="right")
        table.add_column(f"to {REFERENCE}", justify="right")
        for row in result["summaries"]:
            if row["size"] == size:
                ratio = row["ratio"]
                table.add_row(
                    row["engine"],
                    f"{row['rate']:,.0f} ({row['lowest']:,.0f} to {row['highest']:,.0f})",
                    "" if ratio is None else f"{ratio[1]:.2f} ({ratio[0]:.2f} to {ratio[2]:.2f})",
                )
        console.print()
        console.print(table)
    for row in result["agreement"]:
        console.print(
            f"{row['size']} {row['engine']}: losses of the first steps differ from those of "
            f"{row['reference']} by {row['largest_difference']:.1e} at most"
            + ("" if row["equal"] else " (NOT the same training)"),
            highlight=False,
        )
    for name, status in result["status"].items():
        if status != "ran":
            console.print(f"{name}: {status}", highlight=False)
    machine, taken = result["machine"], result["disturbance"]
    console.print(
        f"machine: {machine['processor']}, {result['settings']['threads']} of {machine['cores']} "
        f"cores; other programs took {taken['foreign']:.2f} cores, the host {taken['stolen']:.2f}",
        highlight=False,
    )
