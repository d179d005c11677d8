"""Folders that were changed at random load, or fail with an error of this package."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from checkpoints.mutated_folders import folders, mutate
from small_models import to_numpy

from keras_s2s import Seq2SeqLM
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.config import ConfigError

pytest.importorskip("transformers")
pytest.importorskip("ctranslate2")
pytest.importorskip("h5py")

# Reading files is the same everywhere, and building is quickest here.
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="no backend has a part in it"
)

#: Bytes that loading a toy may take beyond what is taken already.
ROOM = 2 * 2**30
SECONDS = 30
QUICK, ALL = range(100), range(100, 2100)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    return folders(tmp_path_factory.mktemp("folders"))


def test_unchanged_folders_load(made, tmp_path):
    assert len(made) >= 12
    for name, folder in made.items():
        assert outcome(folder) == "answered", name


@pytest.mark.parametrize("first", range(0, len(QUICK), 25))
def test_some(made, tmp_path, first):
    run(made, tmp_path, QUICK[first : first + 25])


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, len(ALL), 100))
def test_two_thousand(made, tmp_path, first):
    run(made, tmp_path, ALL[first : first + 100])


def test_json_that_is_nested_too_deeply(made, tmp_path):
    """Each file of each format; Python's reader raises an error of its own for it."""
    failures, changed = [], 0
    for name in sorted(made):
        for path in sorted(made[name].rglob("*.json")):
            folder = Path(shutil.copytree(made[name], tmp_path / "folder"))
            (folder / path.relative_to(made[name])).write_text("[" * 100_000)
            changed += 1
            try:
                with limits():
                    outcome(folder)
            except Exception as error:
                failures.append(f"{name}, {path.name}: {type(error).__name__}: {error!s:.300}")
            shutil.rmtree(folder)
    assert not failures, "\n".join(failures)
    assert changed > 10


def run(made: dict[str, Path], tmp_path: Path, seeds: range) -> None:
    """Change and load a folder for each seed; every failure is listed."""
    failures, outcomes = [], []
    for seed in seeds:
        rng = random.Random(seed)
        name = rng.choice(sorted(made))
        folder = Path(shutil.copytree(made[name], tmp_path / "folder"))
        done = mutate(folder, rng)
        try:
            with limits():
                outcomes.append(outcome(folder))
        except BaseException as error:
            failures.append(f"seed {seed}, {name}: {done}: {type(error).__name__}: {error!s:.300}")
            if isinstance(error, KeyboardInterrupt):
                raise
        shutil.rmtree(tmp_path / "folder")
    assert not failures, "\n".join(failures)
    assert {"answered", "refused"} <= set(outcomes)


def outcome(folder: Path) -> str:
    """Whether a folder answers, with finite numbers, or is refused by this package.

    Raises:
        AssertionError: a number that is none.
        Exception: an error that this package did not mean.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = Seq2SeqLM.from_preset(folder, verbose=False)
        except (ConfigError, CheckpointError) as error:
            assert len(str(error)) > 20 and len(str(error)) < 6000, "says nothing, or too much"
            return "refused"
        sizes = model.preset.architecture
        limit = min(
            6, *(side.embedding.max_positions or 6 for side in (sizes.encoder, sizes.decoder))
        )
        ids = np.arange(limit)[None] % min(sizes.source_vocab_size, sizes.target_vocab_size)
        mask = np.ones(ids.shape, "bool")
        source = {"encoder_token_ids": ids, "encoder_padding_mask": mask}
        logits = to_numpy(model({**source, "decoder_token_ids": ids, "decoder_padding_mask": mask}))
        assert np.isfinite(logits).all(), "logits are not finite"
        try:
            answer = model.generate(source, max_length=max(2, limit), return_output=True)
        except ValueError as error:  # options that contradict each other are the call's affair
            assert "keras_s2s" in _raised_in(error), "an error of another library"
            return "refused by generate"
        assert np.isfinite(answer.token_log_probs).all(), "scores are not finite"
        assert answer.token_ids.size
        return "answered"


def _raised_in(error: BaseException) -> str:
    trace: Any = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return str(trace.tb_frame.f_code.co_filename)


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Memory and time that a toy may take; more is an error."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])

    def late(*_: Any) -> None:
        raise TimeoutError(f"not done after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, hard))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
