"""`generate`, `evaluate` and `train` as a shell sees them."""

from __future__ import annotations

import builtins
import io
import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from small_models import covered, slow_where_compiled

from keras_s2s import Seq2SeqLM
from keras_s2s.cli import main
from keras_s2s.cli.commands import generate
from keras_s2s.text import Preprocessor

TWO = ("--source", "a", "--target", "b")
PAIRS = [("ab c", "c ba"), ("abc", "cba"), ("가나", "나가")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained model whose answers differ from source to source."""
    keras.utils.set_random_seed(3)
    text = Preprocessor.train(PAIRS, "character")
    model = Seq2SeqLM.from_preset(
        "gru_bahdanau",
        load_weights=False,
        preprocessor=text,
        architecture={"shared": {"hidden_dim": 8, "embedding": {"dim": 8}}},
    )
    rng = np.random.default_rng(8)  # the same weights, so the same answers, on every backend
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.9)
    directory = tmp_path_factory.mktemp("model")
    model.save_to_preset(directory)
    return str(directory)


def answers(capsys, *arguments: str) -> list[str]:
    assert main([*arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_line_for_each_text_and_nothing_else(folder: str, capsys) -> None:
    expected = Seq2SeqLM.from_preset(folder).generate(["abc", "가나"], max_length=9)
    assert len(set(expected)) == 2
    assert answers(capsys, "generate", folder, "abc", "가나", "--max-length", "9") == expected


def test_lines_from_a_pipe_stay_aligned(folder: str, capsys, monkeypatch) -> None:
    class Stdin:
        buffer = io.BytesIO("\ufeffabc\r\n\n가나\n".encode())

        def isatty(self) -> bool:
            return False

    direct = answers(capsys, "generate", folder, "abc", "가나", "--max-length", "9")
    monkeypatch.setattr(sys, "stdin", Stdin())
    piped = answers(capsys, "generate", folder, "--max-length", "9")
    assert piped == [direct[0], "", direct[1]]


@slow_where_compiled
def test_files_in_and_out(folder: str, capsys, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("abc\nab c\n", encoding="utf-8")
    direct = answers(capsys, "generate", folder, "abc", "ab c", "--num-beams", "2")
    out = tmp_path / "out.txt"
    options = ["--num-beams", "2", "--input", str(tmp_path / "in.txt"), "--output", str(out)]
    assert answers(capsys, "generate", folder, *options) == []
    assert out.read_text(encoding="utf-8").splitlines() == direct
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["in.txt", "out.txt"]


def test_n_best_is_a_line_each(folder: str, capsys) -> None:
    options = ["--num-beams", "3", "--num-return-sequences", "2", "--max-length", "6"]
    assert len(answers(capsys, "generate", folder, "abc", "ab c", *options)) == 4


@slow_where_compiled
def test_a_seed_repeats_a_draw(folder: str, capsys) -> None:
    options = ["--sampler", "top_k", "--top-k", "5", "--seed", "4"]
    draws = [answers(capsys, "generate", folder, "abc", *options) for _ in range(2)]
    assert draws[0] == draws[1]


@slow_where_compiled
def test_with_a_seed_every_line_draws_its_own(folder: str, capsys, monkeypatch) -> None:
    monkeypatch.setattr(generate, "CHUNK", 2)  # lines that are answered together
    options = ["--sampler", "top_k", "--top-k", "9", "--temperature", "5", "--seed", "4"]
    drawn = answers(capsys, "generate", folder, *["abc"] * 6, *options)
    assert drawn[:2] != drawn[2:4] != drawn[4:]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "MODEL", "x", "--num-beams", "0"], "num_beams=0"),
        (["generate", "MODEL", "x", "--num-beams", "2", "--top-k", "3"], "has no use for top_k"),
        (["generate", "MODEL", "x", "--sampler", "bean"], "did you mean 'beam'"),
        (["generate", "MODEL", "x", "--input", "f"], "not both"),
        (["generate", "MODEL", "--input", "/no/such/file"], "No such file"),
        (["generate", "/no/such/model", "x"], "/no/such/model: no such folder; give a folder that"),
        (["generate", "runs/gru_bahdana", "x"], "no such folder; did you mean 'gru_bahdanau'?"),
        (["generate", "gru_bahdana", "x"], "did you mean 'gru_bahdanau'?"),
        (["generate", "absent.yaml", "x"], "absent.yaml: no such file"),
        (
            ["generate", "MODEL", "x", "--output", "/no/o"],
            "--output /no/o: there is no folder /no;",
        ),
        (["generate", "MODEL", "x", "--output", "MODEL"], "that is a folder"),
        (["evaluate", "MODEL", "--source", "a", "--target", "b"], "a"),
        (["evaluate", "MODEL", "--source", "a", "--target", "b", "--metrics", "x"], "exact_match"),
        (["evaluate", "MODEL", *TWO, "--bleu-tokenize", "zn"], "'zn'; sacreBLEU's tokenizers are"),
        (["evaluate", "MODEL", *TWO, "--bleu-tokenize", "flores200"], "nothing is downloaded"),
        (["evaluate", "MODEL", *TWO, "--metrics", "chrf", "--bleu-tokenize", "zh"], "add it, or"),
        (["evaluate", "MODEL", "--source", "a"], "give --source and --target, or --questions"),
        (["evaluate", "MODEL", *TWO, "--questions", "q"], "give --source and --target, or --que"),
        (["train", "date"], "did you mean 'dates'"),
        (["train", "dates", "--set", "training.epoch=2"], "did you mean 'epochs'"),
    ],
)
def test_mistakes_are_one_clear_message(folder, capsys, arguments, message) -> None:
    code = main([folder if word == "MODEL" else word for word in arguments])
    printed = capsys.readouterr()
    assert code != 0
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("command", ["generate", "evaluate"])
@pytest.mark.parametrize("entry", ["gru_bahdanau", "mine.yaml"])
def test_an_architecture_cannot_answer(command, entry, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("base: gru_bahdanau\ndescription: Mine.\n")
    Path("lines").write_text("a\n")
    files = ["--source", "lines", "--target", "lines"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main([command, entry, *(["x"] if command == "generate" else files)]) == 1
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if "error" in line]
    assert line.startswith(f"keras-s2s: error: {entry} describes an architecture")
    assert "no trained weights" in line
    assert f"keras-s2s train RECIPE --set model={entry} --out FOLDER" in line
    assert printed.out == ""


@slow_where_compiled
def test_a_folder_wins_over_an_entry_of_its_name(
    folder: str, capsys, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, "gru_bahdanau")
    options = ["abc", "--max-length", "9"]
    expected = answers(capsys, "generate", folder, *options)
    assert answers(capsys, "generate", "gru_bahdanau", *options) == expected


def test_a_file_that_cannot_be_written_is_named_as_the_user_did(
    folder: str, capsys, tmp_path, monkeypatch
) -> None:
    real = builtins.open

    def refuse(path, mode="r", *args, **kwargs):
        if Path(path).parent == tmp_path and "w" in mode:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, mode, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", refuse)
    assert main(["generate", folder, "abc", "--output", str(tmp_path / "o")]) == 1
    error = capsys.readouterr().err
    assert f"error: {tmp_path / 'o'}: Permission denied" in error
    assert ".tmp" not in error


@slow_where_compiled
def test_invalid_utf8_names_the_line(folder: str, capsys, tmp_path: Path) -> None:
    path = tmp_path / "latin1.txt"
    path.write_bytes(b"abc\ncaf\xe9\n")
    assert main(["generate", folder, "--input", str(path)]) == 1
    assert "line 2 is not valid UTF-8" in capsys.readouterr().err


def test_evaluate_prints_json_last(folder: str, capsys, tmp_path: Path) -> None:
    (tmp_path / "s").write_text("abc\nab c\n", encoding="utf-8")
    expected = Seq2SeqLM.from_preset(folder).generate(["abc", "ab c"], max_length=9)
    (tmp_path / "t").write_text(f"{expected[0]}\nwrong\n", encoding="utf-8")
    files = ["--source", str(tmp_path / "s"), "--target", str(tmp_path / "t")]
    lines = answers(
        capsys, "evaluate", folder, *files, "--metrics", "exact_match", "--max-length", "9"
    )
    assert json.loads(lines[-1])["exact_match"] == 50.0


def test_evaluate_reads_questions_with_several_answers(folder, capsys, tmp_path: Path) -> None:
    asked = ["question: a context: b", "question: c context: b"]
    found = Seq2SeqLM.from_preset(folder).generate(asked, max_length=9)
    answers_of = {"a": ["wrong", found[0]], "c": ["wrong"]}
    entries = [
        {"question": question, "answers": [{"text": text} for text in texts]}
        for question, texts in answers_of.items()
    ]
    content = {"data": [{"paragraphs": [{"context": "b", "qas": entries}]}]}
    path = tmp_path / "q.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    options = ["--questions", str(path), "--metrics", "korquad", "--max-length", "9"]
    lines = answers(capsys, "evaluate", folder, *options)
    assert json.loads(lines[-1])["korquad_exact_match"] == 50.0
    assert json.loads(lines[-1])["pairs"] == 2


@pytest.mark.parametrize(
    ("options", "tokenizer"),
    covered(
        [
            ([], "zh"),
            (["--tgt-lang", "zh"], "zh"),
            (["--bleu-tokenize", "char"], "char"),
            (["--tgt-lang", "zh", "--bleu-tokenize", "13a"], "13a"),
        ],
        [([], "zh")],
    ),
)
def test_evaluate_says_how_it_measured(folder, options, tokenizer, capsys, tmp_path: Path) -> None:
    (tmp_path / "s").write_text("abc\nab c\n", encoding="utf-8")
    (tmp_path / "t").write_text("今天天气非常好。\n我很喜欢吃苹果。\n", encoding="utf-8")
    files = ["--source", str(tmp_path / "s"), "--target", str(tmp_path / "t"), "--max-length", "5"]
    lines = answers(capsys, "evaluate", folder, *files, "--metrics", "bleu,rouge", *options)
    measured = json.loads(lines[-1])
    assert {"bleu", "rouge1", "rouge2", "rougeL"} < set(measured)
    assert f"|tok:{tokenizer}|" in measured["bleu_signature"]
    assert "|tok:zh|" in measured["rouge_signature"]


@slow_where_compiled
def test_a_reader_that_leaves_early_is_no_error(folder: str, tmp_path: Path) -> None:
    command = f"{sys.executable} -m keras_s2s.cli generate {folder} abc 'ab c' --max-length 5"
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -n 0"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_saved_weights_are_what_the_model_held(folder: str) -> None:
    model = Seq2SeqLM.from_preset(folder)
    assert float(ops.std(model.weights[0].value)) > 0.5
