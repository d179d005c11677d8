"""Prints tables on standard output without cutting cells, in a narrow terminal or in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

# In a narrower terminal, columns would be a few letters wide.
_NARROWEST = 16


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None
) -> None:
    """Prints rows of text.

    In a terminal cells wrap to its width, and where there is no room for columns each row
    becomes a block of lines.  In a pipe or a file a row is one line, however long.

    Args:
        columns: a heading for each column.
        rows: as many cells each as there are columns.
        title: a line above the table.
    """
    console = Console(file=sys.stdout, highlight=False, emoji=False)
    if console.is_terminal and console.width < _NARROWEST * len(columns):
        _print_blocks(console, columns, rows, title)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in columns:
        table.add_column(Text(heading), overflow="fold")
    for row in rows:
        # As Text, so that square brackets stay brackets.
        table.add_row(*(Text(cell) for cell in row))
    if not console.is_terminal:
        unlimited = console.options.update(width=sys.maxsize)
        console.width = max(1, Measurement.get(console, unlimited, table).maximum)
    with console.capture() as capture:
        if title:
            console.print(Text(title, style="bold"), soft_wrap=True)
        console.print(table)
    # Rich fills every row up to the table's width.
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def _print_blocks(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None
) -> None:
    if title:
        console.print(Text(title, style="bold"), overflow="fold")
    for row in rows:
        for heading, cell in zip(columns, row, strict=True):
            if cell:
                console.print(Text(f"{heading}: {cell}"), overflow="fold")
        console.print()
