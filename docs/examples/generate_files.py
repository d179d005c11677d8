"""Generates from every line of many text files, on all cores of a machine or of a Ray cluster.

    pip install "keras-s2s[ray]" and a backend
    python generate_files.py MODEL FOLDER RESULTS --workers 2 --option num_beams=4

Each `*.txt` file of FOLDER gets a file with the same name in RESULTS, with one line for each line,
in their order; blank lines stay blank. A file appears under its name when it is complete. A run
that was stopped goes on when it is started again: files that are there are left out.

Ray Data does the rest: it reads files and calls the models at the same time, keeps every worker
busy, and starts lost workers again. On a cluster, FOLDER, RESULTS and MODEL are on a file system
that all machines share, and the script is started on one of them with `RAY_ADDRESS` set.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

#: File in RESULTS that says how they were made.
SETTINGS = "settings.json"

#: A file is divided if it has more bytes, into so many shares a worker at most.
SHARE_BYTES = 16_384
SHARES = 4


class Generate:
    """Generates texts for batches of lines; each worker makes one, which loads the model once.

    Args:
        model: what `Seq2SeqLM.from_preset` reads.
        batch_size: sources that are decoded at a time.
        options: of `generate`.
    """

    def __init__(self, model: str, batch_size: int, options: Mapping[str, Any]) -> None:
        import keras_s2s as s2s

        self.model = s2s.Seq2SeqLM.from_preset(model)
        self.options = {"batch_size": batch_size, **options}

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Adds the column `result` to the columns of a batch of lines."""
        texts = batch.pop("text").tolist()
        real = [text for text in texts if text.strip()]
        # `generate` sorts them by length and pads each of its batches on its own.
        results = iter(self.model.generate(real, **self.options) if real else [])
        found = [next(results) if text.strip() else "" for text in texts]
        return {**batch, "result": np.array(found, dtype=object)}


def shares_of(file: Path, workers: int) -> list[dict[str, Any]]:
    """Returns the shares of a file, for `read_lines`: of a long one, several for each worker."""
    count = min(file.stat().st_size // SHARE_BYTES + 1, SHARES * workers)
    return [{"path": str(file.resolve()), "share": i, "shares": count} for i in range(count)]


def read_lines(share: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields lines of a file: its `path`, how many `lines` it has, `number` and `text` of each.

    Args:
        share: the file's path, and which of how many shares; of three, share 1 has the lines 1,
            4, 7, ..., so that shares take equally long.

    Raises:
        ValueError: it is not UTF-8.
    """
    content = Path(share["path"]).read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{share['path']}: not a UTF-8 text file ({error})") from None
    # Not splitlines: it also splits at characters within a line.
    lines = text.removesuffix("\n").split("\n") if text else []
    for number in range(share["share"], len(lines), share["shares"]):
        yield {
            "path": share["path"],
            "lines": len(lines),
            "number": number,
            "text": lines[number].removesuffix("\r"),
        }


class Results:
    """Gathers the results of files, and writes those that are complete.

    Args:
        folder: to write into.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.waiting: dict[str, dict[int, str]] = {}

    def add(self, row: Mapping[str, Any]) -> Path | None:
        """Takes the result of a line; returns the file that it completed, if it did."""
        path = row["path"]
        found = self.waiting.setdefault(path, {})
        # A result is a line, whatever is generated.
        found[int(row["number"])] = " ".join(row["result"].splitlines())
        if len(found) < row["lines"]:
            return None
        del self.waiting[path]
        return self.write(Path(path).name, [found[i] for i in range(len(found))])

    def write(self, name: str, lines: list[str]) -> Path:
        """Writes a file that appears under its name when it is complete."""
        target = self.folder / name
        beside = self.folder / f".{name}.{os.getpid()}.tmp"
        with open(beside, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)
        os.replace(beside, target)
        return target


def remaining_files(folder: Path, results: Path, settings: Mapping[str, Any]) -> list[Path]:
    """Returns the files of a folder that have no results yet.

    Raises:
        ValueError: the folder has no text files, or the results that are there were made with
            other settings.
    """
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise ValueError(f"{folder} has no files *.txt")
    results.mkdir(parents=True, exist_ok=True)
    known = results / SETTINGS
    if known.exists():
        before = json.loads(known.read_text(encoding="utf-8"))
        if before != settings:
            raise ValueError(
                f"{results} has results of {before}, and this run has {dict(settings)}; give "
                "another folder for them"
            )
    else:
        Results(results).write(SETTINGS, [json.dumps(settings)])
    return [file for file in files if not (results / file.name).exists()]


def generate_files(
    model: str,
    folder: Path,
    results: Path,
    *,
    workers: int = 1,
    threads: int = 1,
    gpus: float = 0,
    batch_size: int = 32,
    options: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Generates results for all files of a folder; returns those that were written.

    Args:
        model: what `Seq2SeqLM.from_preset` reads; the same on every machine.
        folder: with files `*.txt`.
        results: folder for the results.
        workers: number of processes that have the model.
        threads: of each of them; Ray sets OMP_NUM_THREADS to it.
        gpus: of each of them; 0.5 lets two share one.
        batch_size: sources that are decoded at a time.
        options: of `generate`.
    """
    import ray

    options = dict(options or {})
    files = remaining_files(folder, results, {"model": model, "options": options})
    gathered = Results(results)
    written = [gathered.write(file.name, []) for file in files if not file.stat().st_size]
    files = [file for file in files if file.stat().st_size]
    if not files:
        return written
    # A worker has the backend of this process, on whichever machine it runs.
    backend = os.environ.get("KERAS_BACKEND")
    # Reading takes hardly any time. If it asked for a core, it would wait for ever where the
    # workers have all of them.
    shares = [share for file in files for share in shares_of(file, workers)]
    lines = ray.data.from_items(shares).flat_map(read_lines, num_cpus=0)
    generated = lines.map_batches(
        Generate,
        fn_constructor_kwargs={"model": model, "batch_size": batch_size, "options": options},
        # Several batches in one call, so that `generate` can sort them by length.
        batch_size=8 * batch_size,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=threads,
        num_gpus=gpus,
        runtime_env={"env_vars": {"KERAS_BACKEND": backend} if backend else {}},
    )
    for row in generated.iter_rows():
        done = gathered.add(row)
        if done is not None:
            print(done, flush=True)
            written.append(done)
    return written


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="what from_preset reads")
    parser.add_argument("folder", type=Path, help="has files *.txt")
    parser.add_argument("results", type=Path, help="folder for the results")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--threads", type=int, default=1, help="of each process (default: 1)")
    parser.add_argument("--gpus", type=float, default=0, help="of each process (default: 0)")
    parser.add_argument("--batch-size", type=int, default=32, help="(default: 32)")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of generate, the value as JSON or a word: num_beams=4, tgt_lang=deu_Latn",
    )
    given = vars(parser.parse_args())
    given["options"] = dict(map(read_option, given.pop("option")))
    generate_files(**given)


def read_option(text: str) -> tuple[str, Any]:
    """Returns the name and the value of `NAME=VALUE`."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


if __name__ == "__main__":
    main()
