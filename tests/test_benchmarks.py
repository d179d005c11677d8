"""The benchmark of generation: its arithmetic by hand, and a small run from end to end."""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
from pathlib import Path

import keras
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import generate  # noqa: E402
from generation import report  # noqa: E402
from generation.bench import rotated  # noqa: E402
from generation.engines import ENGINES, Settings  # noqa: E402
from generation.limits import limits, step_bytes  # noqa: E402
from generation.model import SIZES, BenchmarkError, Model  # noqa: E402
from generation.worker import Worker, WorkerError  # noqa: E402
from generation.workload import cut, read_lines  # noqa: E402

MARIAN = Model(6, 6, hidden=512, heads=8, ffn=2048, vocabulary=32_000)


def sample(engine, round, seconds, tokens=100, cell=(8, 1), workload="forced"):
    return {
        "workload": workload,
        "cell": list(cell),
        "engine": engine,
        "round": round,
        "seconds": seconds,
        "tokens": tokens,
    }


# --------------------------------------------------------------------------------------
# Options and inputs
# --------------------------------------------------------------------------------------


def test_cells():
    assert generate.cells("8x1, 32x4,8x1") == [(8, 1), (32, 4)]
    for wrong in ("8", "8x", "0x1", "8x1,", "axb"):
        with pytest.raises(argparse.ArgumentTypeError, match="batch x beams"):
            generate.cells(wrong)


def test_engines_by_name_or_beginning():
    rounded = [name for name, spec in ENGINES.items() if spec.rounded]
    assert rounded and generate.engines(",".join(rounded)) == rounded
    names = [n for n in ENGINES if n.startswith("keras_s2s-") and n not in rounded]
    assert generate.engines("keras_s2s,ctranslate2") == [*names, "ctranslate2"]
    assert len(names) == 4
    assert all(generate.engines(name) == [name] for name in ENGINES)
    with pytest.raises(argparse.ArgumentTypeError, match="ctranslate2"):
        generate.engines("ctranslate")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "/nowhere"], "preset.yaml"),
        (["--text", "/nowhere"], "/nowhere"),
        (["--workloads", "text"], "--text FILE"),
        (["--steps", "5000"], "5001 positions"),
        (["--max-length-doubling", "--max-length", "600"], "1200 positions"),
        (["--model", "/nowhere", "--layers", "3"], "leave out --layers"),
        (["--threads", "100000"], "cores"),
        (["--hidden", "33"], "multiple of --heads"),
    ],
)
def test_wrong_use_is_one_line(options, message, capsys, monkeypatch):
    monkeypatch.setattr(generate.Bench, "helper", lambda *_: pytest.fail("a process was started"))
    assert generate.main(["--size", "tiny", *options]) == 1
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert len(error.splitlines()) == 1


def test_text_lines(tmp_path):
    text = "Ein Hund.\n\n  Zwei Hunde.  \nDrei.\n"
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_text(text, encoding="utf-8")
    packed.write_bytes(gzip.compress(text.encode()))
    for path in (plain, packed):
        assert read_lines(path, 10) == ["Ein Hund.", "Zwei Hunde.", "Drei."]
        assert read_lines(path, 2) == ["Ein Hund.", "Zwei Hunde."]
    plain.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(BenchmarkError, match="UTF-8"):
        read_lines(plain, 10)


def test_cut():
    assert cut([5, 3, 3, 0], eos=3) == [5, 3]
    assert cut([5, 6], eos=3) == [5, 6]


# --------------------------------------------------------------------------------------
# Arithmetic
# --------------------------------------------------------------------------------------


def test_medians_leave_out_the_warm_up():
    samples = [sample("ctranslate2", r, s) for r, s in enumerate((50.0, 1.0, 2.0, 4.0))]
    (found,) = report.summaries(samples, {"forced": 25})
    assert (found["lowest"], found["tokens_per_second"], found["highest"]) == (25, 50, 100)
    # 50 tokens a second of a batch of 8: 6.25 steps a second.
    assert found["step_ms"] == pytest.approx(160)


def test_ratios_are_taken_within_a_round():
    """The machine gets ten times slower in round 2; within each round we are 2, 4 and 3 times
    as fast, while the medians of each alone would say otherwise."""
    ours, peer = (1.0, 10.0, 2.0), (2.0, 40.0, 6.0)
    samples = []
    for round, (mine, theirs) in enumerate(zip(ours, peer, strict=True), 1):
        samples.append(sample("keras_s2s-jax", round, mine))
        samples.append(sample("keras_s2s-torch", round, 100.0))
        samples.append(sample("transformers", round, theirs))
    found = {row["engine"]: row for row in report.ratios(samples)}
    assert found["keras_s2s-jax"]["ratio"] == pytest.approx(3)
    assert found["keras_s2s-torch"]["ratio"] == pytest.approx(0.06)
    assert found["best"] == {**found["keras_s2s-jax"], "engine": "best", "backend": "jax"}


def test_doubling():
    samples = [sample("keras_s2s-jax", r, 1.0, workload="once") for r in (1, 2, 3)]
    samples += [sample("keras_s2s-jax", r, s, workload="twice") for r, s in ((1, 1.1), (2, 1.2))]
    (found,) = report.doubling_ratios(samples, "once", "twice")
    assert found["ratio"] == pytest.approx(1.15)


def test_limits_of_the_default_model():
    assert MARIAN.decoder_multiplications == 6 * (6 * 512**2 + 2 * 512 * 2048) + 512 * 32_000
    # 63 steps: 32 places of the history on average, and 32 of the source.
    rows = 32 * (8 * 4 + 8)  # a source's keys and values serve its four beams
    expected = 4 * (38_404_096 + rows * 2 * 6 * 512)
    assert step_bytes(MARIAN, (8, 4), source=32, steps=63, width=4) == expected
    measured = {"memory": 20.0, "matrix": {"32": 64.0}}
    options = {"source": 32, "steps": 63, "width": 4}
    found = limits(MARIAN, (8, 4), measured, gpu=False, **options)
    assert found["matrix"] == pytest.approx(64e9 / 76_808_192 / 4)
    assert found["memory"] == pytest.approx(8 * 20e9 / expected)
    assert found["limit"] == found["matrix"] < found["memory"]
    found = limits(MARIAN, (8, 4), measured, gpu=True, **options)
    assert found["limit"] == found["memory"] and "matrix" not in found


def test_every_engine_is_first_once():
    assert [rotated(["a", "b", "c"], i)[0] for i in range(4)] == ["a", "b", "c", "a"]


# --------------------------------------------------------------------------------------
# Processes
# --------------------------------------------------------------------------------------


def test_a_failing_worker_says_why(tmp_path):
    with pytest.raises(WorkerError, match=r"FileNotFoundError.*model\.json"):
        Worker("split", Settings(str(tmp_path), "cpu", "float32", 1), "torch")


def run(*options: str, output: Path) -> dict:
    command = [sys.executable, str(BENCHMARKS / "generate.py"), "--size", "tiny", "--rounds", "1"]
    command += ["--threads", "1", "--output", str(output), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"written: {output}" in done.stdout
    return {"printed": done.stdout, **json.loads(output.read_text())}


@pytest.mark.slow
def test_a_small_run(tmp_path):
    """Every number of beams gives the ids that transformers and CTranslate2 give."""
    pytest.importorskip("transformers")
    pytest.importorskip("ctranslate2")
    words = ["der", "Hund", "sieht", "eine", "Katze", "im", "Haus", "und", "läuft", "weg"]
    lines = [" ".join(words[(i + j * j) % 10] for j in range(3 + i % 7)) for i in range(40)]
    text = tmp_path / "text.gz"
    text.write_bytes(gzip.compress("\n".join(lines).encode()))
    mine = f"keras_s2s-{keras.backend.backend()}"
    names = [mine, "transformers", "ctranslate2"]
    result = run(
        *("--cells", "2x1,3x2", "--steps", "12", "--max-length", "40"),
        *("--text", str(text), "--engines", ",".join(names)),
        output=tmp_path / "out.json",
    )
    assert result["status"] == dict.fromkeys(names, "ran")
    agreement = result["agreement"]
    assert len(agreement) == 2 * 2 * 2  # workloads, cells, engines beside the reference
    comparable = [found for found in agreement if not report.forbids_first(found)]
    assert len(comparable) == len(agreement) - 1
    assert {found["equal_rows"] for found in comparable} == {1.0}, agreement
    forced = [s for s in result["samples"] if s["workload"] == "forced"]
    assert len(forced) == 2 * 2 * 3  # rounds with the warm-up, cells, engines
    assert all(s["tokens"] == 12 * s["cell"][0] for s in forced)
    assert not any(s["cpu_seconds"]["idle"] > 0.5 for s in result["samples"])
    spread = result["workloads"]["text"]["twentieths_of_result_lengths_by_beams"]["1"]
    assert len(set(spread)) > 3, "all end together: nothing is shown"
    assert result["workloads"]["text"]["cut"] < 0.9
    assert len(result["summaries"]) == 2 * 2 * 3
    assert result["compilations"][mine]["at_end"] == result["compilations"][mine]["after_warm_up"]
    assert f"best keras_s2s / {names[2]}" in result["printed"]


@pytest.mark.slow
def test_twice_the_max_length(tmp_path):
    mine = f"keras_s2s-{keras.backend.backend()}"
    result = run(
        *("--max-length-doubling", "--cells", "4x1", "--max-length", "60", "--engines", mine),
        output=tmp_path / "out.json",
    )
    (found,) = result["doubling"]
    assert found["same_ids"] and found["ratio"] > 0


def test_sizes_are_complete():
    """Each size has what the options of the same names may replace."""
    assert {tuple(sizes) for sizes in SIZES.values()} == {tuple(SIZES["marian"])}
