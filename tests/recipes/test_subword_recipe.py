"""Runs whose training texts are segmented anew in every epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recipes.small_runs import assert_same_runs, keep_checkpoints, run, without_times
from recipes.test_resuming import Stopped, stop_after
from small_models import slow_where_compiled

from keras_s2s.config import ConfigError
from keras_s2s.recipes import run_data

BPE = "text={source: {kind: byte_level_bpe, vocab_size: 320}, joint: true}"
DROPOUT = "training.subword_sampling={dropout: 0.3}"


@slow_where_compiled
def test_only_training_pairs_are_drawn_and_two_runs_are_equal(tmp_path: Path, monkeypatch) -> None:
    made: list[Any] = []

    class Seen(run_data.Batches):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            made.append(options.get("subword_sampling"))

    monkeypatch.setattr(run_data, "Batches", Seen)
    reports = [
        without_times(run(tmp_path / name, BPE, DROPOUT, "training.epochs=2")) for name in "ab"
    ]
    assert [sampling is not None for sampling in made] == [True, False] * 2
    assert reports[0] == reports[1]
    plain = run(tmp_path / "plain", BPE, "training.epochs=2")
    assert plain["history"]["loss"] != reports[0]["history"]["loss"]


@slow_where_compiled
def test_a_run_that_is_resumed_draws_on(tmp_path: Path, monkeypatch) -> None:
    keep_checkpoints(monkeypatch)
    changes = (BPE, DROPOUT, "training.batch_unit=tokens", "training.batch_size=300")
    run(tmp_path / "undisturbed", *changes)
    with monkeypatch.context() as patch:
        stop_after(patch, "on_train_batch_end", 8)
        with pytest.raises(Stopped):
            run(tmp_path / "run", *changes)
    run(tmp_path / "run", *changes, resume=True)
    assert_same_runs(tmp_path / "run", tmp_path / "undisturbed")


def test_a_tokenizer_that_cannot_draw_is_refused_before_training(tmp_path: Path) -> None:
    key = r"training\.subword_sampling\.source\.dropout: the character tokenizer"
    with pytest.raises(ConfigError, match=key):
        run(tmp_path / "run", "text={source: {kind: character}, joint: true}", DROPOUT)


def test_an_objective_has_draws_of_its_own() -> None:
    from keras_s2s.catalog import load_recipe

    with pytest.raises(ConfigError, match=r"training\.subword_sampling: is for pairs of texts"):
        load_recipe("pretrain_t5_tiny", [DROPOUT])
