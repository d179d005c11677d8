"""Marian's own trainer, from the PyPI package pymarian.

It reads text and a list of words, so ids are written as words. Its log has the time of each update.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from generation.model import BenchmarkError, Model

from training_speed.job import DROPOUT, LABEL_SMOOTHING, LEARNING_RATE, Job
from training_speed.trainer import Trainer

#: A line that Marian logs after an update: sentences so far in this pass over the texts, and
#: seconds since the line before.
UPDATE = re.compile(r"Up\. [\d,]+ : Sen\. ([\d,]+) : .* : Time ([\d.]+)s")

#: What the log can tell apart.
LEAST_SECONDS = 0.01


class Marian(Trainer):
    """Marian's trainer on the CPU, in this process; weights are its own."""

    def losses(self) -> None:
        self.log = self.folder / "marian.log"
        self.runs = 0
        write_texts(self.folder, self.data, self.model)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """As `Trainer.answer`; an update before the first, in which Marian allocates its memory, is
        not counted."""
        known = len(updates(self.log))
        self.train(request["steps"] + 1)
        _, *counted = updates(self.log)[known:]
        if len(counted) != request["steps"] or any(n % self.job.rows for n, _ in counted):
            raise BenchmarkError(
                f"Marian's updates, as sentences and seconds, are {counted}; expected "
                f"{request['steps']}, of {self.job.rows} sentences each"
            )
        return {
            "seconds": max(sum(seconds for _, seconds in counted), LEAST_SECONDS),
            "tokens": len(counted) * self.job.tokens,
            "losses": self.compared,
        }

    def train(self, steps: int) -> None:
        # Each of its own threads would start as many of OpenMP's.
        os.environ["OMP_NUM_THREADS"] = "1"
        import pymarian

        self.runs += 1  # a model that is there would be trained on
        words = command(self.folder, self.model, self.job, self.settings.threads)
        more = {
            "--seed": self.settings.seed + 1,  # 0 would be another one in each run
            "--after-batches": steps,
            "--model": self.folder / f"marian-{self.runs}.npz",
            "--log": self.log,
        }
        pymarian.Trainer(
            " ".join([words, *(f"{key} {value}" for key, value in more.items())])
        ).train()
        for left in self.folder.glob(f"marian-{self.runs}.npz*"):
            left.unlink()


def command(folder: Path, model: Model, job: Job, threads: int) -> str:
    """Marian's options for a size: the network, the optimiser and the batches of the others."""
    size = asdict(model)
    options = {
        "--type": "transformer",
        "--enc-depth": size["encoder_layers"],
        "--dec-depth": size["decoder_layers"],
        "--dim-emb": size["hidden"],
        "--transformer-dim-ffn": size["ffn"],
        "--transformer-heads": size["heads"],
        "--transformer-dropout": DROPOUT,
        "--label-smoothing": LABEL_SMOOTHING,
        "--cost-type": "ce-mean-words",
        "--optimizer": "adam",
        "--learn-rate": LEARNING_RATE,
        "--train-sets": f"{folder / 'source.txt'} {folder / 'target.txt'}",
        "--vocabs": f"{folder / 'words.yml'} {folder / 'words.yml'}",
        "--dim-vocabs": f"{size['vocabulary']} {size['vocabulary']}",
        "--mini-batch": job.rows,
        "--maxi-batch": 1,
        "--max-length": job.length + 1,
        "--cpu-threads": threads,
        "--workspace": 1000,
        "--disp-freq": "1u",
    }
    flags = [
        "--tied-embeddings-all",
        "--no-shuffle",
        "--no-restore-corpus",
        "--sync-sgd",
        "--quiet",
    ]
    return " ".join([*(f"{key} {value}" for key, value in options.items()), *flags])


def write_texts(folder: Path, data: list[tuple[np.ndarray, np.ndarray]], model: Model) -> None:
    """Writes `source.txt`, `target.txt` and `words.yml`, in which id n is the word `wn`.

    EOS, the last id of every row, is left out: Marian adds it.
    """
    words = [f"w{n}" for n in range(model.vocabulary)]
    words[0], words[1] = "</s>", "<unk>"  # where Marian expects them
    lines = [f'"{word}": {n}\n' for n, word in enumerate(words)]
    (folder / "words.yml").write_text("".join(lines))
    for side, name in enumerate(("source.txt", "target.txt")):
        rows = [row[:-1] for batch in data for row in batch[side].tolist()]
        text = "".join(" ".join(words[n] for n in row) + "\n" for row in rows)
        (folder / name).write_text(text)


def updates(log: Path) -> list[tuple[int, float]]:
    """The updates that a log tells of, as `UPDATE` has them."""
    if not log.exists():
        return []
    found = UPDATE.findall(log.read_text())
    return [(int(sentences.replace(",", "")), float(seconds)) for sentences, seconds in found]
