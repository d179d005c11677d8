"""Prints the table of docs/export.md from what test_in_graph_ten_thousand.py recorded.

    python tests/export/in_graph_table.py found.xml

found.xml is what `pytest --junitxml=found.xml` wrote.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

COLUMNS = ("texts", "different ids", "different texts")


def table(report: str) -> str:
    """Returns a Markdown table with a line for each kind of tokenizer.

    Args:
        report: JUnit XML.

    Raises:
        SystemExit: a test failed, or none recorded anything.
    """
    rows: dict[tuple[str, bool], list[dict[str, str]]] = defaultdict(list)
    for case in ElementTree.fromstring(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            raise SystemExit(f"{case.get('name')} failed")
        recorded = [(p.get("name", ""), p.get("value", "")) for p in case.iter("property")]
        if not recorded:
            continue
        # A case with tokenizers for both sides recorded twice.
        starts = [i for i, (name, _) in enumerate(recorded) if name == "kind"]
        for start, end in zip(starts, [*starts[1:], len(recorded)], strict=True):
            row = dict(recorded[start:end])
            rows[row["kind"], int(row["pieces"]) >= 30_000].append(row)
    if not rows:
        raise SystemExit("the report has no recorded properties")
    lines = [
        "| kind of tokenizer | tokenizers | pieces, at most | strings | other ids | other texts |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (kind, _), found in sorted(rows.items(), key=lambda item: (item[0][1], item[0][0])):
        name, *model = kind.split(", ")
        label = f"`{name}`" + "".join(f" ({part})" for part in model)
        pieces = max(int(row["pieces"]) for row in found)
        sums = [sum(int(row[column]) for row in found) for column in COLUMNS]
        cells = [label, len(found), f"{pieces:,}", *(f"{number:,}" for number in sums)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(Path(sys.argv[1]).read_text(encoding="utf-8")))
