"""What every test shares: reproducible randomness and a quiet TensorFlow."""

from __future__ import annotations

import gc
import itertools
import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# Before TensorFlow is first imported: its start-up notes would bury a test's own output.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# PyTorch's threads cost more than they give on tensors as small as the ones here.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# On a GPU float32 products are of float32: TF32 has ten bits.
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")

# XLA compiles hundreds of tiny programs here, each for one call: optimising them is the work.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

# Equal models are compiled once, by whichever process comes first; the next run has them all.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# A deadline measures the machine: the first example may import a backend or compile.
settings.register_profile("keras_s2s", deadline=None)
settings.load_profile("keras_s2s")

# Nothing that importing three backends makes is garbage; looking for some took a third of the time.
gc.disable()

SEED = 20240816

#: Files that take longest, longest first. Begun first, none of them runs on alone at the end while
#: the other process has nothing left to do.
LONG = (
    "documentation/test_code_blocks.py",
    "documentation/test_contributing.py",
    "recipes/test_killed_runs.py",
    "export/test_certificate.py",
    "export/test_export_languages.py",
    "export/test_saved_model.py",
    "parity/test_transformers_parity.py",
    "contracts/test_contracts.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {ROOT / "tests" / name: place for place, name in enumerate(LONG)}
    assert all(path.is_file() for path in places), "LONG names a file that is gone"
    items.sort(key=lambda item: places.get(item.path, len(places)))


#: Counts the files that this process has begun.
_FILES = itertools.count()


def pytest_collection_finish() -> None:
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def graphs_as_they_are() -> None:
    """TensorFlow runs graphs as they were traced, for the reason XLA's optimisations are off."""
    if "tensorflow" in sys.modules and os.environ.get("KERAS_BACKEND") != "torch":
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


#: Mappings of memory of a process after which JAX gives up its programs, some seven each. Linux
#: allows 65,530; XLA's compiler does not survive the next one.
MAPPINGS = 30_000


def has_many_mappings() -> bool:
    maps = Path("/proc/self/maps")
    return maps.exists() and maps.read_bytes().count(b"\n") > MAPPINGS


@pytest.fixture(autouse=True, scope="module")
def modules_are_no_garbage() -> None:
    """What is there when a file begins is left alone by the garbage collector: walking over all
    that the backends define takes half a second, and Keras does it after each layer it quantises.
    """
    crowded = "jax" in sys.modules and has_many_mappings()
    if crowded:
        sys.modules["jax"].clear_caches()
    if next(_FILES) % 20 == 19 or crowded:
        gc.unfreeze()  # what earlier files have left since is collected now
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def seed() -> int:
    """Every test starts from the same random state, whichever ran before it."""
    random.seed(SEED)
    np.random.seed(SEED)
    # Tests of the text side never load keras; they are not made to wait for it.
    if keras := sys.modules.get("keras"):
        keras.utils.set_random_seed(SEED)
    return SEED
