"""The benchmark of training: its arithmetic by hand, and a small run from end to end."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest
from small_models import COMPILES

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import train  # noqa: E402
from training_speed import report  # noqa: E402
from training_speed.job import SIZES, decoder_inputs, sized  # noqa: E402


def sample(engine, round_, seconds):
    return {"size": "tiny", "engine": engine, "round": round_, "seconds": seconds, "tokens": 100}


def test_rates_and_ratios_within_a_round():
    samples = [
        *(sample("transformers", 1, 10.0), sample("ours", 1, 5.0)),
        *(sample("transformers", 2, 20.0), sample("ours", 2, 5.0)),
        *(sample("transformers", 3, 50.0), sample("ours", 3, 50.0)),
    ]
    theirs, ours = report.summaries(samples)
    assert (theirs["rate"], theirs["lowest"], theirs["highest"]) == (5.0, 2.0, 10.0)
    assert theirs["ratio"] == [1.0, 1.0, 1.0]
    assert (ours["rate"], ours["ratio"]) == (20.0, [1.0, 2.0, 4.0])


def test_agreement_of_losses():
    losses = {"tiny": {"ours": [2.0, 1.0], "transformers": [2.0, 1.00001], "hub": None}}
    (found,) = report.agreement(losses)
    assert (found["engine"], found["reference"], found["equal"]) == ("ours", "transformers", True)
    losses["tiny"]["ours"] = [2.0, 1.1]
    assert not report.agreement(losses)[0]["equal"]


def test_options():
    assert train.names_of(SIZES)("tiny,small") == ["tiny", "small"]
    assert train.names_of(train.TRAINERS)("keras_hub") == ["keras_hub-jax", "keras_hub-tensorflow"]
    with pytest.raises(argparse.ArgumentTypeError, match="'large' is none of tiny"):
        train.names_of(SIZES)("large")


def test_labels_are_moved_by_one():
    model, job = sized("least")
    ((_, labels), *_) = job.batches(model, seed=0)
    moved = decoder_inputs(labels, model)
    assert (moved[:, 1:] == labels[:, :-1]).all() and (moved[:, 0] == model.decoder_start).all()
    assert labels.shape == (job.rows, job.length) and (labels[:, -1] == model.eos).all()


@pytest.mark.slow
@pytest.mark.skipif(COMPILES, reason="it starts processes of its own: once is enough")
def test_a_small_run(tmp_path, capsys):
    pytest.importorskip("transformers")
    output = tmp_path / "train.json"
    words = ["--sizes", "least", "--rounds", "1", "--steps", "2", "--output", str(output)]
    assert train.main([*words, "--engines", "keras_s2s-torch,transformers"]) == 0
    result = json.loads(output.read_text())
    assert result["status"] == {"keras_s2s-torch": "ran", "transformers": "ran"}
    (found,) = result["agreement"]
    assert found["equal"], found
    assert "target tokens/s in training" in capsys.readouterr().out
