"""What the engines are asked to do: source ids, and how a generation ends."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from generation.model import POSITIONS, BenchmarkError, Model

#: Ids below this one have a meaning of their own.
FIRST_WORD = 4


@dataclass(frozen=True)
class Workload:
    """Source rows and the limits of a generation.

    Attributes:
        name: of the table it is printed in.
        rows: source ids; a cell of a forced workload takes the first `batch` of them, any
            other workload takes all, `batch` at a time.
        max_length: longest result, the decoder start counted.
        forced: whether every result has exactly `max_length - 1` ids.
    """

    name: str
    rows: list[list[int]]
    max_length: int
    forced: bool

    def share(self, batch: int) -> list[list[int]]:
        """The rows of a cell."""
        return self.rows[:batch] if self.forced else self.rows


@dataclass(frozen=True)
class Job:
    """One cell of a workload, as an engine sees it; steps are `max_length - 1`."""

    batch: int
    beams: int
    max_length: int
    forced: bool

    @property
    def steps(self) -> int:
        """Most ids to generate."""
        return self.max_length - 1


def random_rows(model: Model, count: int, lengths: tuple[int, int], seed: int) -> list[list[int]]:
    """Sources of random ids with EOS at their end; `lengths` are the least and the largest."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(lengths[0], lengths[1] + 1, count)
    return [
        [*rng.integers(FIRST_WORD, model.vocabulary, size - 1).tolist(), model.eos]
        for size in sizes
    ]


def read_lines(path: Path, count: int) -> list[str]:
    """The first `count` lines of a UTF-8 file that hold text; gzip is recognised by content.

    Raises:
        BenchmarkError: the file is missing, not UTF-8, or holds no text.
    """
    try:
        with open(path, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        lines: list[str] = []
        opener: Any = gzip.open if packed else open
        with opener(path, "rt", encoding="utf-8") as file:
            for line in file:
                if line.strip():
                    lines.append(line.strip())
                if len(lines) == count:
                    break
    except OSError as error:
        raise BenchmarkError(f"--text {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, EOFError) as error:
        raise BenchmarkError(f"--text {path}: not a readable UTF-8 text file ({error})") from None
    if not lines:
        raise BenchmarkError(f"--text {path}: no line holds text")
    return lines


def pad(rows: list[list[int]], filler: int) -> tuple[np.ndarray, np.ndarray]:
    """`rows` as int32 `[B, S]` filled up with `filler`, and the bool mask of what is real."""
    longest = max(map(len, rows))
    ids = np.full((len(rows), longest), filler, np.int32)
    mask = np.zeros((len(rows), longest), bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = row, True
    return ids, mask


def cut(row: list[int], eos: int) -> list[int]:
    """`row` up to and including its first EOS."""
    return row[: row.index(eos) + 1] if eos in row else row


def fit(rows: list[list[int]], eos: int) -> list[list[int]]:
    """`rows` with at most `POSITIONS` ids each; what is cut ends in EOS as the others do."""
    return [row if len(row) <= POSITIONS else [*row[: POSITIONS - 1], eos] for row in rows]
