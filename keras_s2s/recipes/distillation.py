"""Sequence-level distillation: a student trains on what a teacher generates [Kim and Rush 2016].

The teacher reads each training source once. What it generates is a file of pairs, and beside it one
that says how they were made: a later run with the same teacher, options and sources takes it as it
is. Until it is complete, it is kept in parts, from which an interrupted run goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_s2s.atomic_writing import write_atomically
from keras_s2s.config import ConfigError, DistillationConfig, RecipeConfig
from keras_s2s.data.checks.model_limits import ModelLimits
from keras_s2s.recipes.checkpoints.identity import (
    differences,
    texts_fingerprint,
    tokenizer_fingerprint,
    weights_fingerprint,
)
from keras_s2s.recipes.data import Pairs, check_sources
from keras_s2s.recipes.records.provenance import versions
from keras_s2s.recipes.warm_start import in_languages
from keras_s2s.text.preprocessor import Preprocessor
from keras_s2s.text_metrics.corpus_metrics import first_hypotheses

logger = logging.getLogger(__name__)

PAIRS_FILE = "distilled.jsonl"

#: Sources between two writes. An interrupted run begins with a whole piece again, so that the same
#: sources are decoded together, and results are equal to the last bit.
PIECE = 512


@dataclass(frozen=True)
class Lesson:
    """What a student trains on.

    Attributes:
        pairs: the training pairs.
        preprocessor: the teacher's.
        report: for `results.json`.
    """

    pairs: Pairs
    preprocessor: Preprocessor
    report: Mapping[str, Any]


def distilled(
    recipe: RecipeConfig,
    train: Sequence[tuple[str, str]],
    directory: Path,
    make_model: Callable[..., Any],
    *,
    overwrite: bool = False,
) -> Lesson:
    """Generates the targets that a student trains on, or reads them where a file has them.

    Args:
        recipe: with `distillation`.
        train: its training pairs.
        directory: the run's folder.
        make_model: `Seq2SeqLM.from_preset`.
        overwrite: a file in the folder that was made otherwise is replaced.

    Raises:
        ConfigError: a teacher without a tokenizer; a file of pairs that was made otherwise.
        DataError: sources that are too long for the teacher.
        KeyboardInterrupt: its message says what was kept.
    """
    config = recipe.distillation
    assert config is not None
    teacher = make_model(config.teacher, dtype=config.dtype)
    if teacher.preprocessor is None:
        raise ConfigError(
            f"distillation.teacher: {config.teacher} has no tokenizer that can be read; a student "
            "is taught by texts"
        )
    in_languages(teacher, config.src_lang, config.tgt_lang)
    sources = list(dict.fromkeys(source for source, _ in train))
    options = config.generation.model_dump(exclude_unset=True)
    if recipe.data.overlong == "truncate":
        options["overlong"] = "truncate"
    else:
        limits = ModelLimits.of(teacher.preset.architecture, teacher.network.frontend)
        check_sources([(s, "") for s in sources], teacher.preprocessor, limits, "data.train")
    own = directory / PAIRS_FILE
    path = own if config.pairs is None else Path(config.pairs)
    file = PairsFile(path, _made_by(teacher, config, options, sources))
    targets = file.read(replace=overwrite and path == own)
    if targets is None:
        targets = _generate(teacher, sources, file, options, config)
    else:
        logger.info("%s has what %s generates from %s sources", path, config.teacher, len(sources))
    by_source = dict(zip(sources, targets, strict=True))
    pairs = [(source, by_source[source]) for source, _ in train if by_source[source].strip()]
    empty = len(train) - len(pairs)
    if empty:
        logger.warning("%s generates nothing from %d of the sources", config.teacher, empty)
    report = {
        "teacher": config.teacher,
        "parameters": teacher.count_params(),
        "sources": len(sources),
        "empty": empty,
    }
    # Whether the teacher worked or a file was read, the student draws the same numbers.
    keras.utils.set_random_seed(recipe.training.seed)
    references = list(train) if config.with_references else []
    return Lesson(pairs + references, teacher.preprocessor, report)


def _made_by(
    teacher: Any, config: DistillationConfig, options: Mapping[str, Any], sources: Iterable[str]
) -> dict[str, Any]:
    """Returns what the teacher's outputs depend on, as JSON values."""
    return {
        "weights": weights_fingerprint(teacher),
        "tokenizer": tokenizer_fingerprint(teacher.preprocessor),
        "dtype": config.dtype,
        "generation": {**teacher.generation_config.model_dump(mode="json"), **options},
        "sources": texts_fingerprint(sources),
    }


def _generate(
    teacher: Any,
    sources: Sequence[str],
    file: PairsFile,
    options: Mapping[str, Any],
    config: DistillationConfig,
) -> list[str]:
    from tqdm import tqdm

    targets = file.begun()
    del targets[len(targets) - len(targets) % PIECE :]
    if targets:
        logger.info("%s: goes on after %s sources", file.path, f"{len(targets):,}")
    started = time.monotonic()
    bar = tqdm(
        desc=f"{config.teacher} generates",
        total=len(sources),
        initial=len(targets),
        unit=" sources",
        leave=False,
        file=sys.stderr,
    )
    try:
        with bar, file.writer(zip(sources, targets, strict=False)) as write:
            for first in range(len(targets), len(sources), PIECE):
                piece = list(sources[first : first + PIECE])
                found = teacher.generate(piece, batch_size=config.batch_size, **options)
                generated = first_hypotheses(found)
                write(zip(piece, generated, strict=True))
                targets += generated
                bar.update(len(piece))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted while the teacher generates; {file.parts} has {len(targets):,} of "
            f"{len(sources):,} sources, and the same command goes on from there"
        ) from None
    seconds = time.monotonic() - started
    file.complete(teacher=config.teacher, versions=versions(), seconds=round(seconds, 1))
    logger.info("%s: %s pairs in %.0f s", file.path, f"{len(sources):,}", seconds)
    return targets


class PairsFile:
    """A JSON-lines file of pairs, and beside it a JSON file that says how they were made.

    Args:
        path: of the pairs, in `.jsonl`.
        made_by: what they depend on.

    Attributes:
        path: of the pairs.
        parts: of the pairs while there are not all of them; its first line is `made_by`.
    """

    def __init__(self, path: Path, made_by: Mapping[str, Any]) -> None:
        self.path = path
        self.parts = path.with_name(f"{path.name}.part")
        self.made_by = dict(made_by)
        self._facts = path.with_suffix(".json")

    def read(self, *, replace: bool = False) -> list[str] | None:
        """Returns the targets; None where they have to be made.

        Args:
            replace: pairs that were made otherwise are made anew.

        Raises:
            ConfigError: there are pairs that were made otherwise, or that were changed.
        """
        if not self.path.exists():
            return None
        try:
            facts = json.loads(self._facts.read_text(encoding="utf-8"))
        except FileNotFoundError:
            if self.parts.exists():
                return None  # it was killed between two renames
            facts = {}
        except ValueError:
            facts = {}
        content = self.path.read_bytes()
        wanted = {**self.made_by, "pairs": _checksum(content)}
        found = [line for key in wanted for line in differences(key, facts.get(key), wanted[key])]
        if not found:
            return [json.loads(line)["target"] for line in content.splitlines()]
        if replace:
            self._facts.unlink(missing_ok=True)
            self.path.unlink()
            return None
        raise ConfigError(
            f"{self.path} holds pairs that were made otherwise: {'; '.join(found)}. Name another "
            "file (distillation.pairs), or delete it to have them made anew"
        )

    def begun(self) -> list[str]:
        """Returns the targets that were made before an interruption."""
        if not self.parts.exists():
            return []
        lines = self.parts.read_bytes().split(b"\n")[:-1]  # what follows was not written whole
        try:
            header, *pairs = [json.loads(line) for line in lines]
        except ValueError:
            return []
        return [pair["target"] for pair in pairs] if header == self.made_by else []

    def writer(self, pairs: Iterable[tuple[str, str]]) -> Any:
        """Returns a context whose function appends pairs, after those that are there already."""
        return _appending(self.parts, self.made_by, pairs)

    def complete(self, **facts: Any) -> None:
        """Gives the pairs their name, and writes how they were made."""
        _, _, content = self.parts.read_bytes().partition(b"\n")
        write_atomically(self.path, content)
        described = {**self.made_by, "pairs": _checksum(content), **facts}
        text = json.dumps(described, indent=2, ensure_ascii=False) + "\n"
        write_atomically(self._facts, text.encode())
        self.parts.unlink()


@contextlib.contextmanager
def _appending(
    path: Path, header: Mapping[str, Any], pairs: Iterable[tuple[str, str]]
) -> Iterator[Callable[[Iterable[tuple[str, str]]], None]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _line(header) + b"".join(map(_line_of_pair, pairs)))
    with path.open("ab") as file:

        def write(more: Iterable[tuple[str, str]]) -> None:
            file.write(b"".join(map(_line_of_pair, more)))
            file.flush()
            os.fsync(file.fileno())

        yield write


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _line_of_pair(pair: tuple[str, str]) -> bytes:
    return _line({"source": pair[0], "target": pair[1]})


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
