"""Medians, ratios and shares from samples, and how they are printed.

Everything printed is also in the result that is written as JSON.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from generation.bench import Cell, percent
from generation.engines import ENGINES, OURS

#: The last is a peer of our own rounded products alone.
PEERS = (
    "ctranslate2",
    "ctranslate2-int8",
    "transformers",
    "keras_hub-jax",
    "keras_hub-tensorflow",
    "keras_s2s-torch",
)

#: Key of a measurement: workload, cell, engine.
Key = tuple[str, Cell, str]


def seconds_by_round(samples: Iterable[dict[str, Any]]) -> dict[Key, dict[int, float]]:
    """Seconds a token of each measurement, by round; the warm-up is left out."""
    found: dict[Key, dict[int, float]] = {}
    for sample in samples:
        if sample["round"] and sample["tokens"]:
            key = (sample["workload"], _cell(sample["cell"]), sample["engine"])
            found.setdefault(key, {})[sample["round"]] = sample["seconds"] / sample["tokens"]
    return found


def summaries(samples: list[dict[str, Any]], steps: dict[str, int | None]) -> list[dict[str, Any]]:
    """Medians of each measurement.

    Args:
        samples: of a `Bench`.
        steps: of each workload where they are the same for every row, else None.

    Returns:
        workload, cell, engine, tokens_per_second (median), lowest, highest, and step_ms.
    """
    found = []
    for (workload, cell, engine), times in seconds_by_round(samples).items():
        rates = sorted(1 / value for value in times.values())
        middle = statistics.median(rates)
        count = steps[workload]
        found.append(
            {
                "workload": workload,
                "cell": list(cell),
                "engine": engine,
                "tokens_per_second": middle,
                "lowest": rates[0],
                "highest": rates[-1],
                # A step makes one token for each source of the batch.
                "step_ms": None if count is None else 1000 * cell[0] / middle,
            }
        )
    return found


def ratios(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times faster each of our backends is than each peer: medians over rounds.

    A ratio is taken within a round, where both met the machine in the same state, so it may
    differ a little from the quotient of two medians. The engine "best" is the backend with the
    highest median rate in its cell, of those that do not round where one of them ran.
    """
    times = seconds_by_round(samples)
    found = []
    for workload, cell in dict.fromkeys((key[0], key[1]) for key in times):
        here = {key[2]: value for key, value in times.items() if key[:2] == (workload, cell)}
        ours = {name: value for name, value in here.items() if name.startswith(OURS)}
        if not ours:
            continue
        exact = [name for name in ours if not ENGINES[name].rounded]
        best = min(exact or ours, key=lambda name: statistics.median(ours[name].values()))
        rounded = [name for name in ours if name not in exact]
        for peer in (peer for peer in PEERS if peer in here):
            for name in rounded if peer in ours else [*ours, "best"]:
                mine, theirs = ours[best if name == "best" else name], here[peer]
                shared = sorted(set(mine) & set(theirs))
                if not shared:
                    continue
                found.append(
                    {
                        "workload": workload,
                        "cell": list(cell),
                        "engine": name,
                        "peer": peer,
                        "ratio": statistics.median(theirs[r] / mine[r] for r in shared),
                        "backend": (best if name == "best" else name).removeprefix(OURS),
                    }
                )
    return found


def doubling_ratios(samples: list[dict[str, Any]], once: str, twice: str) -> list[dict[str, Any]]:
    """Time with twice the max_length over time with it, the median over rounds."""
    times = seconds_by_round(samples)
    found = []
    for (workload, cell, engine), short in times.items():
        long = times.get((twice, cell, engine), {})
        shared = sorted(set(short) & set(long))
        if workload == once and shared:
            ratio = statistics.median(long[r] / short[r] for r in shared)
            found.append({"cell": list(cell), "engine": engine, "ratio": ratio})
    return found


# --------------------------------------------------------------------------------------
# Printing
# --------------------------------------------------------------------------------------


def print_report(result: dict[str, Any], console: Console) -> None:
    """The tables of a result."""
    cells = [_cell(cell) for cell in result["settings"]["cells"]]
    for name, workload in result["workloads"].items():
        console.print()
        console.print(f"[bold]{name}[/bold]: {workload['note']}", highlight=False)
        _print_rates(result, name, cells, console)
        _print_ratios(result, name, cells, console)
        _print_limits(result, name, cells, console)
    if result.get("doubling"):
        _print_doubling(result, cells, console)
    _print_agreement(result, cells, console)
    _print_machine(result, console)
    for engine, status in result["status"].items():
        if status != "ran":
            console.print(f"{engine}: {status}", highlight=False, markup=False, soft_wrap=True)


def _print_rates(
    result: dict[str, Any], workload: str, cells: list[Cell], console: Console
) -> None:
    console.print("tokens/s, median", highlight=False)
    table = _table(cells, "compilations")
    here = [s for s in result["summaries"] if s["workload"] == workload]
    gpu = result["settings"]["device"] == "gpu"
    for engine in in_order(s["engine"] for s in here):
        by_cell = {_cell(s["cell"]): s for s in here if s["engine"] == engine}
        texts = []
        for cell in cells:
            summary = by_cell.get(cell)
            text = "-" if summary is None else f"{summary['tokens_per_second']:.0f}"
            if summary and gpu and summary["step_ms"] is not None:
                text += f" ({summary['step_ms']:.2f} ms/step)"
            texts.append(text)
        count = result["compilations"].get(engine)
        table.add_row(engine, *texts, "-" if count is None else _compiled(count))
    console.print(table)


def _compiled(count: dict[str, int | None]) -> str:
    after, end = count["after_warm_up"], count["at_end"]
    return "-" if end is None else str(end) if after == end else f"{end}, {after} in warm-up"


def _print_ratios(
    result: dict[str, Any], workload: str, cells: list[Cell], console: Console
) -> None:
    here = [r for r in result["ratios"] if r["workload"] == workload]
    if not here:
        return
    console.print("times faster than", highlight=False)
    table = _table(cells)
    for peer in dict.fromkeys(r["peer"] for r in here):
        for engine in in_order(r["engine"] for r in here):
            by_cell = {
                _cell(r["cell"]): r for r in here if (r["peer"], r["engine"]) == (peer, engine)
            }
            texts = []
            for cell in cells:
                found = by_cell.get(cell)
                text = "-" if found is None else f"{found['ratio']:.2f}"
                if found and engine == "best":
                    text += f" {found['backend']}"
                texts.append(text)
            name = "best keras_s2s" if engine == "best" else engine
            table.add_row(f"{name} / {peer}", *texts, style="bold" if engine == "best" else None)
        table.add_section()
    console.print(table)


def _print_limits(
    result: dict[str, Any], workload: str, cells: list[Cell], console: Console
) -> None:
    here = {_cell(r["cell"]): r for r in result["limits"] if r["workload"] == workload}
    if not here:
        return
    console.print("the machine's limit, tokens/s", highlight=False)
    table = _table(cells)
    for kind in ("matrix", "memory"):
        if any(kind in row for row in here.values()):
            what = "matrix products" if kind == "matrix" else "reading weights and caches"
            table.add_row(f"by {what}", *[f"{here[c][kind]:.0f}" for c in cells])
    table.add_section()
    for engine in in_order(e for row in here.values() for e in row["shares"]):
        shares = [here[cell]["shares"].get(engine) for cell in cells]
        texts = ["-" if share is None else f"{100 * share:.0f} %" for share in shares]
        table.add_row(f"{engine}, share of the lower", *texts)
    console.print(table)


def _print_doubling(result: dict[str, Any], cells: list[Cell], console: Console) -> None:
    console.print("time with twice the max_length / time with it", highlight=False)
    table = _table(cells)
    for engine in in_order(r["engine"] for r in result["doubling"]):
        by_cell = {_cell(r["cell"]): r for r in result["doubling"] if r["engine"] == engine}
        texts = []
        for cell in cells:
            found = by_cell.get(cell)
            same = "" if found is None or found["same_ids"] else " (other ids!)"
            texts.append("-" if found is None else f"{found['ratio']:.3f}{same}")
        table.add_row(engine, *texts)
    console.print(table)


def _print_agreement(result: dict[str, Any], cells: list[Cell], console: Console) -> None:
    if not result["agreement"]:
        return
    console.print("rows with the same ids", highlight=False)
    table = _table(cells)
    order = list(ENGINES)
    for workload, reference, engine in sorted(
        {(a["workload"], a["reference"], a["engine"]) for a in result["agreement"]},
        key=lambda row: (list(result["workloads"]).index(row[0]), order.index(row[2])),
    ):
        by_cell = {
            _cell(a["cell"]): a["equal_rows"]
            for a in result["agreement"]
            if (a["workload"], a["engine"]) == (workload, engine)
        }
        texts = [percent(by_cell[c]) if c in by_cell else "-" for c in cells]
        table.add_row(f"{workload}: {engine} as {reference}", *texts)
    console.print(table)
    if any(forbids_first(found) and found["equal_rows"] < 1 for found in result["agreement"]):
        console.print(
            "CTranslate2 forbids EOS before probabilities are normalised, the others after: where "
            "EOS would be likely, its forced beams rank otherwise. The work is the same."
        )


def forbids_first(agreement: dict[str, Any]) -> bool:
    """Whether an entry compares what cannot be equal wherever EOS would be likely."""
    forced = agreement["workload"] == "forced" and agreement["cell"][1] > 1
    return forced and agreement["engine"] == "ctranslate2"


def _print_machine(result: dict[str, Any], console: Console) -> None:
    machine, rates = result["machine"], result["rates"]
    gpu = result["settings"]["device"] == "gpu"
    cores = f"{result['settings']['threads']} of {machine['cores']} cores"
    console.print(f"machine: {rates['device'] or machine['processor']}, {cores}", highlight=False)
    kind = result["settings"]["dtype"] if gpu and rates["library"] != "numpy" else "float32"
    products = ", ".join(f"{rows}: {rate:.0f}" for rows, rate in rates["matrix"].items())
    console.print(
        f"{kind} matrix products, rows x 512 x 2048, GFLOP/s by rows ({rates['library']}): "
        f"{products}",
        highlight=False,
    )
    what = "copying memory, bytes read and written" if gpu else "reading memory"
    console.print(f"{what}: {rates['memory']:.1f} GB/s", highlight=False)
    taken = result["disturbance"]
    note = "" if max(taken.values()) < 0.05 else ": these figures are disturbed"
    console.print(
        f"cores taken meanwhile by idle engines {taken['idle']:.2f}, other programs "
        f"{taken['foreign']:.2f}, the host {taken['stolen']:.2f}{note}",
        highlight=False,
    )


def in_order(engines: Iterable[str]) -> list[str]:
    """Engines in the order of their registry, each once; "best" comes last."""
    found = set(engines)
    return [*(name for name in ENGINES if name in found), *({"best"} & found)]


def _table(cells: list[Cell], *more: str) -> Table:
    table = Table()
    table.add_column("batch x beams", no_wrap=True)
    for batch, beams in cells:
        table.add_column(f"{batch}x{beams}", justify="right")
    for name in more:
        table.add_column(name, justify="right")
    return table


def _cell(cell: Any) -> Cell:
    batch, beams = cell
    return batch, beams
