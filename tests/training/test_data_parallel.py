"""Training on two devices (two processes on PyTorch) gives what one device gives."""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from training.small_training import small_batches, small_model

from keras_s2s.data import Batches
from keras_s2s.training import data_parallel
from keras_s2s.training.data_parallel import check_parallel

TESTS = Path(__file__).resolve().parents[1]
BACKEND = keras.backend.backend()


def trained(backend: str, devices: int, options: Any) -> list[list[dict[str, Any]]]:
    """What each process of a training printed, for each of the options."""
    program = Path(__file__).with_name("data_parallel_run.py")
    command = [sys.executable, str(program), str(devices), json.dumps(options)]
    path = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    shared = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    each = [{"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}]
    if backend == "torch" and devices > 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(devices)}
        each = [{**group, "RANK": str(rank)} for rank in range(devices)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env={**shared, **own}, **pipes) for own in each]
    found = [process.communicate(timeout=280) for process in processes]
    for process, (_, errors) in zip(processes, found, strict=True):
        assert process.returncode == 0, errors[-3000:]
    return [json.loads(output.splitlines()[-1]) for output, _ in found]


# Under PyTorch only, as all slow tests: the processes have backends of their own.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "options"),
    [
        ("jax", [{}, {"fused": False}, {"accumulate": 2}]),
        ("tensorflow", [{}, {"fused": False}]),
        ("torch", [{}, {"fused": False}, {"accumulate": 2}]),
    ],
    ids=["jax", "tensorflow", "torch"],
)
def test_two_devices_give_what_one_gives(backend: str, options: Any) -> None:
    pytest.importorskip(backend)
    (alone,) = trained(backend, 1, options)
    for process in trained(backend, 2, options):
        for found, expected in zip(process, alone, strict=True):
            for kind in ("history", "evaluated"):
                assert found[kind].keys() == expected[kind].keys()
                for name, value in expected[kind].items():
                    np.testing.assert_allclose(found[kind][name], value, rtol=2e-5, err_msg=name)
            assert found["weights"].keys() == expected["weights"].keys()
            for path, value in expected["weights"].items():
                np.testing.assert_allclose(
                    found["weights"][path], value, rtol=1e-4, atol=2e-6, err_msg=path
                )
            assert found["length"] == expected["length"]


def test_rows_are_a_multiple_of_the_devices() -> None:
    model = small_model()
    plain = small_batches(model, 9, 2)
    pairs = [([5, 6], [7, model.special_ids.target.eos]) for _ in range(5)]
    for unit, size in (("sentences", 7), ("tokens", 23), ("sentences", 1)):
        batches = Batches(
            pairs,
            special_ids=model.special_ids,
            batch_size=size,
            batch_unit=unit,
            row_multiple=4,
        )
        assert {shape[0] % 4 for shape in batches.shapes} == {0}
        assert sum(int(w[:, 0].sum()) for _, _, w in batches) == 5
    assert plain.shapes[0][0] == 4
    with pytest.raises(ValueError, match="row_multiple is 0"):
        Batches(pairs, special_ids=model.special_ids, row_multiple=0)


def test_devices_that_are_not_there(monkeypatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    remedy = {"jax": "XLA_FLAGS", "tensorflow": "enter data_parallel before", "torch": "torchrun"}
    small_model()  # TensorFlow has begun to work
    message = rf"data_parallel\(64\).*{remedy[BACKEND]}"
    with pytest.raises(ValueError, match=message), data_parallel(64):
        pass
    for wrong in (0, -1, True, 1.5):
        message = "expected a number of devices"
        with pytest.raises(ValueError, match=message), data_parallel(wrong):  # type: ignore
            pass


def test_one_device_changes_nothing() -> None:
    model = small_model()
    with data_parallel(1):
        model.compile("adam")
        model.fit(small_batches(model, 6, 1), epochs=1, verbose=0)


@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch has processes")
def test_processes_drop_for_themselves(monkeypatch) -> None:
    """Their random states stay alike, so that a checkpoint of one is that of all."""
    import torch

    module = importlib.import_module("keras_s2s.training.data_parallel")
    monkeypatch.setattr(module, "_replicas", 2)
    found = []
    for rank in (0, 1, 1):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        keras.utils.set_random_seed(3)
        draws = []
        for _ in range(2):
            with module.parallel_step():
                draws.append(torch.rand(5).tolist())
        found.append((draws, torch.rand(5).tolist()))
    first, second, again = found
    assert second == again
    assert first[1] == second[1], "the states after the steps differ"
    drawn = [*first[0], *second[0], first[1]]
    assert len(set(map(tuple, drawn))) == 5, f"draws are repeated: {drawn}"


CLUSTER = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}


def test_several_hosts_on_tensorflow_are_refused(monkeypatch) -> None:
    if BACKEND != "tensorflow":
        pytest.skip("of TensorFlow")
    monkeypatch.setenv("TF_CONFIG", json.dumps(CLUSTER))
    with pytest.raises(ValueError, match=r"data_parallel\(2\): .*keras#20585"), data_parallel(2):
        pass
    import tensorflow as tf

    class Several(tf.distribute.MultiWorkerMirroredStrategy):  # type: ignore
        def __init__(self) -> None:
            pass

    model = small_model()
    model.compile("adam")
    monkeypatch.setattr(type(model), "distribute_strategy", property(lambda self: Several()))
    with pytest.raises(ValueError, match=r"fit: .*keras#20585"):
        check_parallel(model)
