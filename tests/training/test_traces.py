"""How often a training run is traced and compiled: bounded by shapes, whatever the epochs."""

from __future__ import annotations

import gc
from typing import Any

import keras
import numpy as np
import pytest
from small_models import make_model, shrunken_preset

from keras_s2s import Seq2SeqLM, data
from keras_s2s.training import callbacks
from keras_s2s.training.losses.metrics import LossTracker

BACKEND = keras.backend.backend()


def pairs(count: int) -> list[tuple[list[int], list[int]]]:
    rng = np.random.default_rng(2)
    return [
        tuple([*rng.integers(4, 16, length - 1).tolist(), 3] for length in rng.integers(3, 18, 2))
        for _ in range(count)
    ]


class Collect(keras.callbacks.Callback):
    """Python frees what nobody holds at times of its own; a trace must not depend on it."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        gc.collect()


@pytest.mark.skipif(BACKEND == "torch", reason="nothing is traced")
def test_a_run_of_many_buckets_and_epochs_is_traced_once_a_step(monkeypatch) -> None:
    model = make_model(shrunken_preset("transformer_tiny"), seed=1)
    traces: list[str] = []
    for name in ("train_step", "test_step"):
        original = getattr(Seq2SeqLM, name)

        def counted(self: Any, *given: Any, name: str = name, original: Any = original) -> Any:
            traces.append(name)
            return original(self, *given)

        monkeypatch.setattr(Seq2SeqLM, name, counted)
    special = {"special_ids": model.special_ids}
    many = BACKEND == "tensorflow"  # JAX compiles for each
    train = data.Batches(pairs(60), batch_size=4, num_buckets=4 if many else 2, **special)
    checks = data.Batches(
        pairs(12), batch_size=4, num_buckets=2 if many else 1, shuffle=False, **special
    )
    shapes = {"train_step": len(train.shapes), "test_step": len(checks.shapes)}
    assert shapes == (
        {"train_step": 4, "test_step": 2} if many else {"train_step": 2, "test_step": 1}
    )
    model.compile("adam")
    assert isinstance(model._loss_tracker, LossTracker)
    for epochs in (4, 2):  # a second fit goes on with what is there
        model.fit(train, validation_data=checks, epochs=epochs, callbacks=[Collect()], verbose=0)
    if BACKEND == "tensorflow":  # with sizes unknown
        assert traces == ["train_step", "test_step"]
    else:  # once for each bucket
        assert {name: traces.count(name) for name in shapes} == shapes


def test_a_training_says_that_it_compiles(capsys) -> None:
    model = make_model(shrunken_preset("lstm_seq2seq"), seed=1)
    batches = data.Batches(pairs(4), batch_size=4, num_buckets=1, special_ids=model.special_ids)
    for expected in (BACKEND != "torch", False):  # the second time it is compiled
        model.fit(batches, epochs=1, verbose=2)
        assert ("compiling the training step" in capsys.readouterr().err) == expected


def test_a_bar_says_that_it_compiles_and_measures_steps_only(monkeypatch, capsys) -> None:
    monkeypatch.setattr(callbacks, "compiles", lambda: True)
    bar = callbacks.ProgressBar()
    bar.set_params({"epochs": 2, "steps": 3})
    bar.on_train_begin()
    for epoch in range(2):
        bar.on_epoch_begin(epoch)
        assert ("compiling" in bar.bar.desc) == (epoch == 0)
        for batch in range(3):
            bar.on_train_batch_end(batch)
            assert "compiling" not in bar.bar.desc
            assert bar.bar.n == batch + 1
        assert bar.bar.initial == (1 if epoch == 0 else 0)
        bar.on_epoch_end(epoch)
    assert "compiling" in capsys.readouterr().err
