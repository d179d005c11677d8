"""`keras-s2s export`: a model for another engine, with the options of the search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import pytest
from cli.small_folder import save_small_model

from keras_s2s import Seq2SeqLM
from keras_s2s.cli import main
from keras_s2s.cli.commands.export import FORMATS
from keras_s2s.export import FORMATS as WRITERS


def test_the_formats_are_those_that_there_are() -> None:
    assert set(FORMATS) == set(WRITERS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_small_model(tmp_path_factory.mktemp("small") / "small")


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="others write it in a second process"
)
def test_a_verified_saved_model(folder: str, tmp_path: Path, capsys: Any) -> None:
    words = ["--version", "3", "--num-beams", "2", "--max-length", "9", "--sample", "ab c"]
    assert main(["export", folder, str(tmp_path / "out"), *words]) == 0
    directory = tmp_path / "out" / "3"
    assert capsys.readouterr().out.strip() == str(directory)
    described = json.loads((directory / "assets.extra" / "keras_s2s.json").read_text("utf-8"))
    assert described["max_length"] == 9
    assert described["generation"]["sampler"]["settings"]["num_beams"] == 2
    certificate = json.loads((directory / "assets.extra" / "certificate.json").read_text("utf-8"))
    assert certificate["comparison"]["sources"] == ["ab c"]
    assert certificate["comparison"]["equal"] == 1


def test_every_option_reaches_the_model(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def export(self: Seq2SeqLM, directory: Path, format: str, **options: Any) -> Path:
        asked.update(options, format=format)
        return directory

    monkeypatch.setattr(Seq2SeqLM, "export", export)
    words = ["--ids", "--truncate", "--cross-attention", "--xla", "--no-verify", "--overwrite"]
    words += ["--do-sample", "--top-p", "0.9", "--version", "0"]
    assert main(["export", folder, str(tmp_path / "out"), *words]) == 0
    assert asked == {
        "format": "tf_saved_model",
        "text": False,
        "truncate": True,
        "cross_attention": True,
        "xla": True,
        "verify": False,
        "overwrite": True,
        "do_sample": True,
        "top_p": 0.9,
        "version": 0,
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "onnx"], "--format onnx: expected one of tf_saved_model, huggingface"),
        (["--format", "huggingface", "--ids"], "--ids: for --format tf_saved_model"),
        (["--format", "huggingface", "--truncate"], "truncate=True is for format='tf_saved_model'"),
        (["--quantization", "int8"], "quantization='int8' is for format='ctranslate2'"),
        (["--num-beams", "0"], "num_beams"),
    ],
)
def test_refused(folder: str, tmp_path: Path, capsys: Any, words: list[str], message: str) -> None:
    assert main(["export", folder, str(tmp_path / "out"), *words]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
