"""A recipe in two processes on PyTorch gives what it gives in one, and goes on after an end."""

from __future__ import annotations

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
from recipes.small_runs import assert_same_runs, keep_checkpoints, run, without_times

from keras_s2s.config import ConfigError

TESTS = Path(__file__).resolve().parents[1]
WITHOUT_DROPOUT = [
    "architecture.shared={hidden_dim: 8, num_heads: 2, intermediate_dim: 8, num_layers: 1, "
    "dropout: 0.0, embedding: {dim: 8, dropout: 0.0}}",
    "training.log_steps=2",
]


def ran(directory: Path, *changes: str, options: Any = ()) -> list[Any]:
    """Return code and report of each process, which `torchrun` would start like this."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    settings = json.dumps([*WITHOUT_DROPOUT, "training.data_parallel=2", *changes])
    program = Path(__file__).with_name("parallel_run.py")
    command = [sys.executable, str(program), str(directory), settings, *options]
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    shared = {
        **os.environ,
        **group,
        "KERAS_BACKEND": "torch",
        "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]),
        "OMP_NUM_THREADS": "1",
    }
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [
        subprocess.Popen(command, env={**shared, "RANK": str(rank)}, **pipes) for rank in range(2)
    ]
    found = []
    for process in started:
        output, errors = process.communicate(timeout=280)
        assert process.returncode == 0 or "--stop" in options, errors[-3000:]
        report = json.loads(output.splitlines()[-1]) if process.returncode == 0 else None
        found.append((process.returncode, report, errors))
    return found


def assert_close(found: Any, expected: Any) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=3e-5, err_msg=name)


# Under PyTorch only, as all slow tests: the processes have backends of their own.
@pytest.mark.slow
def test_two_processes_give_what_one_gives_and_go_on_after_an_end(
    tmp_path: Path, monkeypatch
) -> None:
    pytest.importorskip("torch")
    keep_checkpoints(monkeypatch)
    alone = run(tmp_path / "alone", *WITHOUT_DROPOUT)
    (_, leader, said), (_, other, silent) = ran(tmp_path / "two")
    assert other == {}
    for message in ("epoch 3/3", "no pictures", "val_loss"):
        assert message in said and message not in silent
    assert_close(leader["history"], alone["history"])
    assert leader["best_epoch"] == alone["best_epoch"]
    assert {path.name for path in (tmp_path / "two").iterdir()} == {
        path.name for path in (tmp_path / "alone").iterdir()
    }
    lines = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").open()]
        for name in ("two", "alone")
    ]
    assert [line["loss"] for line in lines[0]] == pytest.approx(
        [line["loss"] for line in lines[1]], rel=3e-5
    )

    codes = [code for code, _, _ in ran(tmp_path / "resumed", options=["--stop"])]
    assert codes[0] == 7 and codes[1] != 0
    (_, resumed, _), _ = ran(tmp_path / "resumed", options=["--resume"])
    assert without_times(resumed) == without_times(leader)
    assert_same_runs(tmp_path / "resumed", tmp_path / "two")


@pytest.mark.slow
def test_all_processes_end_after_the_epoch_after_which_the_leader_does(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    # The bound is for the leader's clock alone.
    (_, leader, _), (_, other, _) = ran(tmp_path / "run", "training.max_minutes=0.000001")
    assert (leader["epochs"], other) == (1, {})


def test_one_process_is_not_several(tmp_path: Path, monkeypatch) -> None:
    if keras.backend.backend() != "torch":
        pytest.skip("other backends have devices")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    message = r"training\.data_parallel: 2 devices, but PyTorch .*torchrun --nproc-per-node=2 -m"
    with pytest.raises(ConfigError, match=message):
        run(tmp_path / "run", "training.data_parallel=2")
    assert not (tmp_path / "run").exists()


def test_processes_that_differ_are_told_in_what(monkeypatch) -> None:
    torch = pytest.importorskip("torch")
    import torch.distributed as distributed

    from keras_s2s.recipes import processes
    from keras_s2s.recipes.progress import Progress

    facts = [
        {"data": {"train": "1"}, "recipe": {"a": 1}, "backend": "torch"},
        {"data": {"train": "2"}, "recipe": {"a": 2}, "backend": "torch"},
    ]
    sent: list[Any] = []

    def gather(into: list[Any], own: Any) -> None:
        sent.append(own.clone())
        for place, other in zip(into, [*sent, own], strict=False):
            place.copy_(other)

    monkeypatch.setattr(processes, "_is_one_of_several", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(distributed, "all_gather", gather)
    processes.check_agreement(facts[0], Progress())
    with pytest.raises(ConfigError, match="process 0 differs from process 1 in data, recipe; give"):
        processes.check_agreement(facts[1], Progress())
    assert len(sent) == 2 and torch.is_tensor(sent[0])
