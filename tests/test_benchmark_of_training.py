"""The benchmark of training: its arithmetic by hand, and a small run from end to end."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path

import pytest
from small_models import COMPILES

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import train  # noqa: E402
from training_speed import marian, report  # noqa: E402
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


LOG = """[2026-11-28] Ep. 1 : Up. 1 : Sen. 128 : Cost 9.4 : Time 2.29s : 1341.75 words/s : gNorm 1.3
[2026-11-28] Ep. 1 : Up. 2 : Sen. 1,256 : Cost 9.4 : Time 1.61s : 1904.19 words/s : gNorm 1.4
[2026-11-28] Ep. 2 : Up. 1,003 : Sen. 128 : Cost 9.3 : Time 0.50s : 1904.19 words/s : gNorm 1.4
"""


def test_what_marian_reads_and_logs(tmp_path):
    """A word for each id, two with a meaning; EOS, which it adds, is no word of a line."""
    (tmp_path / "log").write_text(LOG)
    expected = [(128, 2.29), (1256, 1.61), (128, 0.5)]
    assert marian.updates(tmp_path / "log") == expected
    assert marian.updates(tmp_path / "none") == []
    model, job = sized("least")
    batches = job.batches(model, seed=0)
    marian.write_texts(tmp_path, batches, model)
    words = [line.split(":")[0].strip('"') for line in (tmp_path / "words.yml").open()]
    assert len(words) == model.vocabulary and words[:2] == ["</s>", "<unk>"]
    for side, name in enumerate(("source.txt", "target.txt")):
        lines = (tmp_path / name).read_text().splitlines()
        found = [[words.index(word) for word in line.split()] for line in lines]
        assert found == [row[:-1].tolist() for batch in batches for row in batch[side]]


@pytest.mark.slow
@pytest.mark.skipif(COMPILES, reason="it starts processes of its own: once is enough")
def test_a_small_run(tmp_path, capsys):
    pytest.importorskip("transformers")
    output = tmp_path / "train.json"
    words = ["--sizes", "least", "--rounds", "1", "--steps", "2", "--output", str(output)]
    engines = ["keras_s2s-torch", "transformers"]
    if importlib.util.find_spec("pymarian"):
        engines.append("marian")
    assert train.main([*words, "--engines", ",".join(engines)]) == 0
    result = json.loads(output.read_text())
    assert result["status"] == dict.fromkeys(engines, "ran")
    (found,) = result["agreement"]
    assert found["equal"], found
    assert "target tokens/s in training" in capsys.readouterr().out
