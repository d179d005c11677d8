"""What a command does before its work: little, quickly, and without a word."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from small_models import slow_where_compiled

from keras_s2s.cli import main, quiet

#: Answered from what is installed, without a network.
LIGHT = [
    ["--help"],
    ["--version"],
    ["generate", "--help"],
    ["train", "--help"],
    ["genrate"],
    ["generate", "--num-beam", "2"],
    ["generate", "nowhere", "x"],
    ["generate", "gru_bahdanau", "x"],
    ["evaluate", "nowhere", "--source", "a", "--target", "b"],
    ["convert", "nowhere", "there"],
    ["shortlist", "nowhere", "--source", "a", "--target", "b", "-o", "c"],
    ["train", "date"],
    ["train", "dates", "--set", "training.epoch=2"],
    ["serve", "--help"],
    ["serve", "nowhere"],
    ["serve", "--port", "x", "nowhere"],
    ["serve", "nowhere", "--languages", "en"],
    ["zoo", "list"],
    ["zoo", "show", "transformer_base"],
    ["zoo", "show", "transformer_bas"],
]

WITHOUT_A_BACKEND = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("keras", "tensorflow", "jax", "torch"):
            raise AssertionError(f"{{name}} is imported")

sys.meta_path.insert(0, Absent())
from keras_s2s.cli import main
for arguments in {LIGHT!r}:
    print("exit code", main(arguments))
"""


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@slow_where_compiled
def test_help_mistakes_and_the_zoo_import_no_backend():
    result = run("-c", WITHOUT_A_BACKEND)
    assert result.returncode == 0, result.stderr
    assert "is imported" not in result.stderr
    codes = [line for line in result.stdout.splitlines() if line.startswith("exit code")]
    codes = [int(line.split()[-1]) for line in codes]
    assert codes == [0, 0, 0, 0, 2, 2, 1, 1, 1, 1, 1, 1, 1, 0, 1, 2, 1, 0, 0, 1]


@slow_where_compiled
@pytest.mark.parametrize(
    ("words", "seconds"), [("--help", 0.7), ("--version", 0.7), ("genrate", 0.7), ("zoo list", 1.2)]
)
def test_they_answer_at_once(words, seconds, tmp_path):
    # Processor time, compiled, and the best of a few: the machine may be busy. A table of the zoo
    # takes half a second of an idle one.
    cache = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    run("-m", "keras_s2s", *words.split(), **cache)
    times: list[float] = []
    while len(times) < 5 and (not times or min(times) >= seconds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run("-m", "keras_s2s", *words.split(), **cache)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < seconds, times


@slow_where_compiled
def test_both_ways_to_run_it_and_its_version(capsys):
    from keras_s2s.version import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"keras-s2s {__version__}\n"
    for module in ("keras_s2s", "keras_s2s.cli"):
        assert run("-m", module, "--version").stdout == f"keras-s2s {__version__}\n"


# --------------------------------------------------------------------------------------
# Messages of the backends
# --------------------------------------------------------------------------------------

SHOW = "import os; print(os.environ.get('TF_CPP_MIN_LOG_LEVEL'))"


def test_the_users_own_setting_wins_and_afterwards_all_is_as_before(monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "INFO")
    with quiet.quiet_backends():
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"
        assert os.environ["TORCH_CPP_LOG_LEVEL"] == "INFO"
    assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    assert os.environ["TORCH_CPP_LOG_LEVEL"] == "INFO"


@pytest.mark.parametrize(("words", "level"), [([], "3"), (["--debug"], None)])
def test_debug_shows_all(words, level, monkeypatch, capsys):
    from keras_s2s import catalog

    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    seen = []

    def note() -> list[str]:
        seen.append(os.environ.get("TF_CPP_MIN_LOG_LEVEL"))
        return []

    monkeypatch.setattr(catalog, "list_presets", note)
    assert main(["zoo", "list", *words]) == 0
    assert seen == [level]


def test_lines_that_a_library_logs_while_it_is_loaded_are_dropped(capfd):
    lines = (
        b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
        b"I0000 00:00:1795697900.652397    7319 cudart_stub.cc:31] Could not find cuda drivers\n"
        b"E0000 00:00:1795697900.652397    7319 x.cc:31] an error\n"
        b"Illegal instruction\n"
        b"no line end"
    )
    with quiet.without_load_messages():
        os.write(2, lines)
    os.write(2, b"\nI0000 00:00:17 afterwards\n")
    assert capfd.readouterr().err.splitlines() == [
        "E0000 00:00:1795697900.652397    7319 x.cc:31] an error",
        "Illegal instruction",
        "no line end",
        "I0000 00:00:17 afterwards",
    ]


@slow_where_compiled
def test_last_words_of_a_crash_are_heard():
    program = """
import os, signal
from keras_s2s.cli.quiet import without_load_messages
with without_load_messages():
    os.write(2, b"I0000 00:00:17 x] y\\nF0000 00:00:17 the last words\\n")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run("-c", program).stderr == "F0000 00:00:17 the last words\n"


@slow_where_compiled
@pytest.mark.parametrize(
    ("backend", "parts"),
    [
        ("torch", ["torch, which is not installed", 'pip install "keras-s2s[torch]"']),
        ("tensorflo", ["KERAS_BACKEND=tensorflo", "expected one of tensorflow, jax, torch"]),
    ],
)
def test_a_backend_that_is_not_there(backend, parts, tmp_path: Path):
    (tmp_path / "preset.yaml").write_text("")
    program = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Absent())
from keras_s2s.cli import main
sys.exit(main(["generate", {str(tmp_path)!r}, "x"]))
"""
    result = run("-c", program, KERAS_BACKEND=backend)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    for part in parts:
        assert part in result.stderr


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the backend that logs while it is loaded"
)
def test_a_command_prints_no_line_of_tensorflows_start(tmp_path: Path):
    (tmp_path / "preset.yaml").write_text("oh: no\n")
    variables = {"KERAS_BACKEND": "tensorflow"}
    variables["TF_CPP_MIN_LOG_LEVEL"] = "3"
    result = run("-m", "keras_s2s", "generate", str(tmp_path), "x", **variables)
    assert result.returncode == 1
    assert result.stderr.startswith("keras-s2s: error: "), result.stderr
