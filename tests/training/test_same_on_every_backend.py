"""The same steps on every backend, whichever option they are trained with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from training.option_run import RUNS, arrays

TESTS = Path(__file__).resolve().parents[1]
#: So that none takes long: a backend compiles a step for each option.
PARTS = 4


def close(dtype: str | None) -> float:
    """Returns how much may differ: float32 is rounded elsewhere, half precision more so."""
    return 1e-5 if dtype is None else 0.05


# Under PyTorch only, as all slow tests: the other backends have processes of their own.
@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_losses_metrics_and_weights(backend: str, part: int, tmp_path: Path) -> None:
    pytest.importorskip(backend)
    names = list(RUNS)[part::PARTS]
    program, file = Path(__file__).with_name("option_run.py"), tmp_path / "arrays.npz"
    path = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path}
    command = [sys.executable, str(program), str(file), *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    expected = arrays(names)
    with np.load(file) as found:
        assert set(found.files) == set(expected)
        for name, array in expected.items():
            tolerance = close(RUNS[name.partition(": ")[0]].get("dtype"))
            np.testing.assert_allclose(
                found[name], array, rtol=tolerance, atol=tolerance, err_msg=name
            )


@pytest.mark.slow
def test_options_that_change_nothing_or_something() -> None:
    """Each option acts; those that only compute in another way do not."""
    kinds = {
        "plain": ["loss of Keras", "checkpointing", "R-Drop without a drop", "nothing is dropped"],
        "label smoothing": ["unfused"],
        "weights of tokens": ["weights of tokens, unfused"],
        "recurrent": [
            "recurrent, unfused",
            "recurrent, R-Drop without a drop",
            "recurrent, nothing is dropped",
        ],
    }
    kinds["plain"].append("eager")
    same = {name: kind for kind, names in kinds.items() for name in names}
    found = {name: arrays([name]) for name in RUNS}
    for name in RUNS:
        kind = same.get(name, "recurrent" if name.startswith("recurrent") else "plain")
        if name in ("plain", "recurrent", "batch by batch"):
            continue
        weights = [
            np.abs(array - found[kind][f"{kind}: {key}"]).max()
            for key, array in ((k.partition(": ")[2], a) for k, a in found[name].items())
            if key.startswith("weight") and f"{kind}: {key}" in found[kind]
        ]
        assert len(weights) > 20
        if name in same:
            assert max(weights) < 1e-5, name
        else:
            assert max(weights) > 1e-3, f"{name} changes nothing"
