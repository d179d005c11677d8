"""`--compute-type` reaches the model of each command, or is refused before one is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli.small_folder import PAIRS, save_small_model
from rounded_types import EVERY_TYPE
from small_models import COMPILES

from keras_s2s import Seq2SeqLM
from keras_s2s.cli import main
from keras_s2s.serving.models.loading import ModelArgument, load_served

SOURCES = [source for source, _ in PAIRS]

each_type = pytest.mark.parametrize("compute_type", EVERY_TYPE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_small_model(tmp_path_factory.mktemp("small") / "model")


@each_type
def test_generate(folder: str, compute_type: str, capsys) -> None:
    scored = []
    for chosen in (None, compute_type):
        model = Seq2SeqLM.from_preset(folder, compute_type=chosen)
        output = model.generate(SOURCES, return_output=True)
        option = [] if chosen is None else ["--compute-type", chosen]
        assert main(["generate", folder, *SOURCES, *option, "--json"]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        found = [row["answers"][0]["score"] for row in rows]
        assert found == pytest.approx(output.scores.tolist(), abs=1e-6)
        scored.append(found)
    assert scored[0] != pytest.approx(scored[1], abs=1e-5)


@each_type
def test_evaluate(folder: str, compute_type: str, tmp_path: Path, capsys, monkeypatch) -> None:
    from keras_s2s.cli import arguments

    loaded: list[Any] = []
    load = arguments.load_model

    def noted(*given: Any, **options: Any) -> Any:
        loaded.append(load(*given, **options))
        return loaded[-1]

    monkeypatch.setattr(arguments, "load_model", noted)
    for name, side in (("source", 0), ("target", 1)):
        lines = "".join(pair[side] + "\n" for pair in PAIRS)
        (tmp_path / name).write_text(lines, encoding="utf-8")
    files = ["--source", str(tmp_path / "source"), "--target", str(tmp_path / "target")]
    assert main(["evaluate", folder, *files, "--compute-type", compute_type]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["pairs"] == len(PAIRS)
    assert [model.compute_type for model in loaded] == [compute_type]


@each_type
def test_serve(folder: str, compute_type: str) -> None:
    served: Any = load_served(ModelArgument("small", folder), {}, compute_type=compute_type)
    assert served.model.compute_type == compute_type


@pytest.mark.parametrize("command", ["generate", "evaluate", "serve"])
def test_unknown_types_are_refused_before_anything_is_loaded(command, capsys, monkeypatch) -> None:
    monkeypatch.setattr(Seq2SeqLM, "from_preset", lambda *_, **__: pytest.fail("loaded"))
    more = {"evaluate": ["--source", __file__, "--target", __file__], "generate": ["x"]}
    arguments = [command, "missing", *more.get(command, []), "--compute-type", "int4"]
    assert main(arguments) != 0
    assert "--compute-type int4: expected one of int8, bfloat16" in capsys.readouterr().err


@pytest.mark.skipif(not COMPILES, reason="PyTorch has it")
def test_other_backends_name_themselves(folder: str, capsys) -> None:
    assert main(["generate", folder, "abc", "--compute-type", "int8"]) != 0
    assert "on PyTorch only, and the running backend is" in capsys.readouterr().err


def test_a_saved_model_refuses_it(tmp_path: Path) -> None:
    (tmp_path / "model" / "1").mkdir(parents=True)
    (tmp_path / "model" / "1" / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ValueError, match="leave compute_type out"):
        load_served(ModelArgument("m", str(tmp_path / "model")), {}, compute_type="int8")
