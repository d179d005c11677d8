"""Where a run writes: refused in time, left as it was, and what the end of a run says."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from keras_s2s.cli import app, main
from keras_s2s.config import ConfigError
from keras_s2s.recipes.interruption import what_is_kept
from keras_s2s.recipes.progress import Progress
from keras_s2s.recipes.records.run_folder import OTHER_MODELS, RunFolder, check_run_folder
from keras_s2s.recipes.records.summary import next_command, print_summary


def model_in(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("preset.yaml", "model.safetensors", "results.json", "recipe.yaml", "notes.txt"):
        (folder / name).write_text("of before")
    return folder


def test_a_model_is_replaced_only_if_that_is_meant(tmp_path: Path) -> None:
    folder = model_in(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"run holds a model already; .*--overwrite"):
        RunFolder(folder, overwrite=False)
    run = RunFolder(folder, overwrite=True)
    assert run.has_earlier_model
    run.leave()
    assert all(path.read_text() == "of before" for path in folder.iterdir())
    run.save(lambda directory: (directory / "preset.yaml").write_text("new"), "a recipe")
    assert not run.has_earlier_model
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert found == {
        "preset.yaml": "new",
        "model.safetensors": "of before",
        "recipe.yaml": "a recipe",
        "notes.txt": "of before",
    }


@pytest.mark.parametrize("name", OTHER_MODELS)
def test_a_model_of_another_format_is_never_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=f"another format \\({name}\\)"):
            check_run_folder(tmp_path, overwrite=overwrite)


def test_other_files_are_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text("mine")
    RunFolder(tmp_path, overwrite=False).leave()
    assert [path.name for path in tmp_path.iterdir()] == ["train.log"]


def test_nothing_is_left_of_a_run_that_wrote_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a" / "b", overwrite=False)
    assert (tmp_path / "a" / "b").is_dir()
    run.leave()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError) as caught:
        RunFolder(tmp_path / place, overwrite=False)
    assert caught.value.filename == str(tmp_path / place)
    reason = f"cannot be written: {tmp_path / 'file'} is a file; give a folder"
    assert caught.value.strerror == reason
    assert (tmp_path / "file").read_text() == "mine"


# --------------------------------------------------------------------------------------
# On the command line
# --------------------------------------------------------------------------------------


def test_train_refuses_before_it_reads_anything(tmp_path, capsys, monkeypatch) -> None:
    from keras_s2s.recipes import runner as recipe

    monkeypatch.setattr(recipe, "load_splits", None)
    model_in(tmp_path / "runs" / "dates")
    monkeypatch.chdir(tmp_path)
    for words in (["--out", "runs/dates"], []):  # the default is runs/RECIPE
        assert main(["train", "dates", *words]) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err == (
            "keras-s2s: error: runs/dates holds a model already; choose another folder with "
            "--out, or pass --overwrite to replace it\n"
        )
    (tmp_path / "file").write_text("mine")
    assert main(["train", "dates", "--out", "file/x"]) == 1
    assert (
        "error: file/x: cannot be written: file is a file; give a folder" in capsys.readouterr().err
    )


def test_resume_and_overwrite_exclude_each_other(tmp_path, capsys) -> None:
    words = ["train", "dates", "--out", str(tmp_path / "run"), "--resume", "--overwrite"]
    assert main(words) == 1
    assert "--resume goes on with a run, --overwrite starts it anew" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_may_be_resumed(tmp_path) -> None:
    (tmp_path / "checkpoints").mkdir()
    assert not check_run_folder(tmp_path, overwrite=False), "a run that has written nothing"
    (tmp_path / "checkpoints" / "step-0000000003.safetensors").write_text("")
    with pytest.raises(ConfigError, match="has not ended; pass --resume"):
        check_run_folder(tmp_path, overwrite=False)
    (tmp_path / "model.safetensors").write_text("")  # a save that was killed
    assert not check_run_folder(tmp_path, overwrite=False, resume=True)
    (tmp_path / "preset.yaml").write_text("")
    assert not check_run_folder(tmp_path, overwrite=False, resume=True), "its own model"
    assert check_run_folder(tmp_path, overwrite=True)
    folder = RunFolder(tmp_path, overwrite=True)
    (tmp_path / ".saving-1").mkdir()
    folder.begin()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoints",
        "model.safetensors",
        "preset.yaml",
    ]
    assert list((tmp_path / "checkpoints").iterdir()) == []
    # The earlier model outlives a run that was killed before it saved one.
    assert check_run_folder(tmp_path, overwrite=False, resume=True)


def test_one_message_for_an_interrupt(monkeypatch, capsys) -> None:
    from keras_s2s import catalog

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt("interrupted in epoch 1; nothing was saved")

    monkeypatch.setattr(catalog, "load_recipe", interrupt)
    assert main(["train", "dates"]) == 130
    assert capsys.readouterr().err == "keras-s2s: interrupted in epoch 1; nothing was saved\n"
    assert app.info.name == "keras-s2s"


# --------------------------------------------------------------------------------------
# What is said at the end
# --------------------------------------------------------------------------------------


def at(epoch: int, step: int) -> Progress:
    position = Progress()
    position.epoch, position.step = epoch, step
    return position


@pytest.mark.parametrize(
    ("position", "best", "earlier", "message"),
    [
        (at(0, 0), None, False, "before the first step; nothing was saved"),
        (at(1, 0), None, False, "before the first step; nothing was saved"),
        (at(1, 3), None, False, "in epoch 1, after 3 of 7 steps; run has the model as it was then"),
        (at(1, 3), None, True, "in epoch 1; run has the earlier model"),
        (at(4, 3), 1, False, "in epoch 4; run has the model of epoch 2, the best so far"),
    ],
)
def test_what_is_kept(position, best, earlier, message) -> None:
    said = what_is_kept(position, 7, Path("run"), best_epoch=best, has_earlier_model=earlier)
    assert message in said


REPORT = {
    "model": "gru_bahdanau",
    "epochs": 3,
    "best_epoch": 2,
    "seconds": 272.4,
    "test_pairs": 2000,
    "metrics": {"bleu": 31.25, "bleu_signature": "nrefs:1|tok:13a", "exact_match": 97.3},
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_summary_for_people() -> None:
    terminal = Terminal()
    print_summary(REPORT, Path("runs/a b"), [Path("runs/a b/c.png")], "March 3, 1999", terminal)
    assert terminal.getvalue() == (
        "\ngru_bahdanau: 3 epochs in 5 min; epoch 2 was the best\n"
        "  bleu         31.25   nrefs:1|tok:13a\n"
        "  exact_match  97.3\n"
        "  measured on  2,000 of the test split\n"
        "  model        runs/a b\n"
        "  picture      runs/a b/c.png\n"
        "  next         keras-s2s generate 'runs/a b' \"March 3, 1999\"\n"
    )


def test_json_for_programs() -> None:
    pipe = io.StringIO()
    print_summary(REPORT, Path("run"), [], None, pipe)
    assert json.loads(pipe.getvalue()) == {
        **REPORT["metrics"],  # type: ignore[dict-item]
        "best_epoch": 2,
        "epochs": 3,
        "seconds": 272.4,
        "test_pairs": 2000,
    }


def test_the_next_command_can_be_pasted() -> None:
    assert next_command(Path("run"), 'say "$x"') == "keras-s2s generate run 'say \"$x\"'"
    assert "from_preset('run')" in next_command(Path("run"), None)
