"""The report of what trimming a vocabulary left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class TrimmedTable(NamedTuple):
    """A weight with a row for each id: a token table, an output projection, or its bias.

    Attributes:
        path: of the weight.
        before: rows before.
        after: rows now.
        bytes_before: size before.
        bytes_after: size now.
    """

    path: str
    before: int
    after: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True)
class TrimReport:
    """What `trim_vocabulary` left out.

    Attributes:
        tables: every weight with a row for each id.
        source_ids: the old id of each id of the source's vocabulary; empty where sources are no
            ids.
        target_ids: the same of the target's.
        source_size: ids that the source's vocabulary had.
        target_size: the same of the target's.
        parameters_before: how many the model had.
        parameters_after: how many it has.
        bytes_before: size of its weights before.
        bytes_after: size now.
        languages: codes that stay; None where the model has no languages.

    Example:
        >>> smaller = s2s.trim_vocabulary(model, pairs, verbose=False)
        >>> smaller.trim_report.target_ids[:3]
        (0, 1, 2)
    """

    tables: tuple[TrimmedTable, ...]
    source_ids: tuple[int, ...]
    target_ids: tuple[int, ...]
    source_size: int
    target_size: int
    parameters_before: int
    parameters_after: int
    bytes_before: int
    bytes_after: int
    languages: tuple[str, ...] | None = None

    @property
    def bytes_saved(self) -> int:
        """How many bytes of weights were left out."""
        return self.bytes_before - self.bytes_after

    def new_ids(self, side: str) -> Mapping[int, int]:
        """Returns the new id of each id that stayed.

        Args:
            side: "source" or "target".

        Raises:
            ValueError: another side.
        """
        if side not in ("source", "target"):
            raise ValueError(f"side is {side!r}; expected 'source' or 'target'")
        old = self.source_ids if side == "source" else self.target_ids
        return {before: now for now, before in enumerate(old)}

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Shows the report in a notebook without its ids."""
        printer.text(str(self))

    def __repr__(self) -> str:
        """Returns the numbers in a line; the ids are too many."""
        return (
            f"TrimReport(source {self.source_size:,} -> {len(self.source_ids):,} ids, target "
            f"{self.target_size:,} -> {len(self.target_ids):,} ids, "
            f"{self.parameters_before:,} -> {self.parameters_after:,} parameters, "
            f"{_size(self.bytes_saved)} saved)"
        )

    def __str__(self) -> str:
        share = self.bytes_saved / self.bytes_before if self.bytes_before else 0.0
        lines = [
            f"trimmed: {self.parameters_before:,} -> {self.parameters_after:,} parameters, "
            f"{_size(self.bytes_before)} -> {_size(self.bytes_after)} ({share:.0%} saved)",
            *(
                f"  {table.path:<32} {table.before:,} -> {table.after:,} rows, "
                f"{_size(table.bytes_before - table.bytes_after)} saved"
                for table in self.tables
            ),
        ]
        if self.languages is not None:
            shown = ", ".join(self.languages[:8])
            more = len(self.languages) - 8
            lines.append(f"  languages: {shown}" + (f" and {more} more" if more > 0 else ""))
        return "\n".join(lines)


def _size(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
