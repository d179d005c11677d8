"""JAX keeps compiled programs for later processes, where it was not told otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import pytest

from keras_s2s.decoding.drivers.program_cache import keep_programs, programs_folder

only_jax = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="only JAX keeps compiled programs"
)

TESTS = Path(__file__).resolve().parents[1]

# Generates with a model, and prints the results, the settings and how often the cache was hit.
GENERATE = """
import collections, json, jax, keras, numpy as np
count = collections.Counter()
jax.monitoring.register_event_listener(lambda name, **more: count.update([name.rsplit("/", 1)[-1]]))
from small_models import make_model, shrunken_preset, source_mapping
from keras_s2s.decoding.drivers import program_cache
program_cache.LEAST_SECONDS = 0.0  # these are tiny
model = make_model(shrunken_preset("opus_mt_en_de"))
count.clear()
ids = model.generate(source_mapping([[5, 6, 7], [8, 9]]), max_new_tokens=4, num_beams=2)
print(json.dumps([
    [list(map(int, row)) for row in ids], jax.config.jax_compilation_cache_dir,
    jax.config.jax_compilation_cache_max_size, count["cache_hits"], count["cache_misses"],
]))
"""


def in_process(home: Path, **settings: str) -> list[Any]:
    environment = {name: at for name, at in os.environ.items() if "_CACHE_" not in name}
    environment |= {"XDG_CACHE_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["KERAS_BACKEND"] = "jax"
    done = subprocess.run(
        [sys.executable, "-c", GENERATE],
        env=environment | settings,
        cwd=TESTS,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_later_process_compiles_no_program_again(tmp_path: Path) -> None:
    ids, folder, most, hits, misses = in_process(tmp_path)
    assert Path(folder).is_relative_to(tmp_path / "keras_s2s" / "jax")
    assert most > 0 and misses >= 3  # start, segment, finish
    again, same, _, hits, misses = in_process(tmp_path)
    assert (again, same) == (ids, folder)
    assert hits >= 3 and misses == 0
    _, folder, *_ = in_process(tmp_path, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own"))
    assert folder == str(tmp_path / "own")


class Config:
    """Stands for `jax.config`."""

    def __init__(self, folder: str | None = None, enabled: bool = True) -> None:
        self.jax_compilation_cache_dir = folder
        self.jax_enable_compilation_cache = enabled
        self.updates: dict[str, Any] = {}

    def update(self, name: str, value: Any) -> None:
        self.updates[name] = value


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Config], dict[str, Any]]:
    """What `keep_programs` tells a `jax` with such settings."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def told(config: Config) -> dict[str, Any]:
        jax = SimpleNamespace(config=config, default_backend=lambda: "cpu")
        monkeypatch.setitem(sys.modules, "jax", jax)
        keep_programs()
        monkeypatch.undo()
        return config.updates

    return told


def test_programs_are_kept_in_the_cache_of_the_user(told: Any, tmp_path: Path) -> None:
    updates = told(Config())
    folder = Path(updates["jax_compilation_cache_dir"])
    assert folder.parent == tmp_path / "keras_s2s" / "jax" and folder.is_dir()
    assert folder.stat().st_mode & 0o077 == 0
    assert updates["jax_persistent_cache_min_compile_time_secs"] == 0.1


@pytest.mark.parametrize("config", [Config("/elsewhere"), Config(""), Config(enabled=False)])
def test_settings_of_jax_come_first(config: Config, told: Any, tmp_path: Path) -> None:
    assert told(config) == {}
    assert not (tmp_path / "keras_s2s").exists()


def test_a_folder_that_cannot_be_made_keeps_nothing(told: Any, tmp_path: Path) -> None:
    (tmp_path / "keras_s2s").write_text("a file where the folder would be")
    assert told(Config()) == {}


def test_without_a_home_nothing_is_kept(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for the user of a container who is not among its users; XDG wants absolute paths."""

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setattr(Path, "home", nowhere)
    assert told(Config()) == {}


def test_programs_of_somebody_else_are_not_run(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert told(Config()) == {}


def test_folders_are_of_a_kind_of_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = programs_folder("cpu")
    assert folder.parent == tmp_path / "keras_s2s" / "jax"
    assert folder.name.startswith("cpu-") and programs_folder("gpu").name == "gpu"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert programs_folder("cpu").parent == Path.home() / ".cache" / "keras_s2s" / "jax"


@only_jax
def test_what_is_compiled_is_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    from small_models import make_model, shrunken_preset, source_mapping

    from keras_s2s.decoding import generator

    said: list[str] = []
    monkeypatch.setattr(generator, "show_note", lambda progress, text: said.append(text))
    model = make_model(shrunken_preset("opus_mt_en_de"))
    sources = source_mapping([[5, 6, 7], [8, 9]])
    model.generate(sources, max_new_tokens=4)
    assert said[0] == "compiling program 1 (start)"
    assert len(said) == model.generator.compilations
    model.generate(sources, max_new_tokens=4)
    assert len(said) == model.generator.compilations
