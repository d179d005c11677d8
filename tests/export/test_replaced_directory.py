"""A folder is written beside and renamed; what it does not know is never replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keras_s2s.export import ExportError
from keras_s2s.export.replaced_directory import replaced_directory


def write(target: Path, content: str, overwrite: bool = False) -> None:
    with replaced_directory(target, marker="marker", overwrite=overwrite) as beside:
        assert beside.parent == target.parent and not any(beside.iterdir())
        (beside / "marker").write_text(content)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_missing_and_empty_folders_are_filled(tmp_path):
    write(tmp_path / "deep" / "new", "a")
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty", "b")
    assert (tmp_path / "deep" / "new" / "marker").read_text() == "a"
    assert (tmp_path / "empty" / "marker").read_text() == "b"
    assert names(tmp_path) == ["deep", "empty"] and names(tmp_path / "deep") == ["new"]


def test_an_export_is_replaced_whole_and_only_when_asked(tmp_path):
    target = tmp_path / "a"
    write(target, "old")
    (target / "more").write_text("of the old one")
    with pytest.raises(ExportError, match="overwrite=True"):
        write(target, "new")
    assert (target / "marker").read_text() == "old"
    write(target, "new", overwrite=True)
    assert names(target) == ["marker"] and (target / "marker").read_text() == "new"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_other_work_is_never_replaced(tmp_path, overwrite):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years")
    (tmp_path / "file").write_text("content")
    with pytest.raises(ExportError, match="work holds files but no marker"):
        write(tmp_path / "work", "new", overwrite)
    with pytest.raises(ExportError, match="file is a file"):
        write(tmp_path / "file", "new", overwrite)
    assert (tmp_path / "work" / "thesis.txt").read_text() == "years"
    assert names(tmp_path) == ["file", "work"]


def test_what_appears_in_the_meantime_is_not_replaced(tmp_path):
    target = tmp_path / "a"
    with (
        pytest.raises(ExportError, match="overwrite=True"),
        replaced_directory(target, marker="marker", overwrite=False) as beside,
    ):
        (beside / "marker").write_text("slow")
        write(target, "quick")
    assert (target / "marker").read_text() == "quick"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_one_and_nothing_else(tmp_path, error):
    target = tmp_path / "a"
    write(target, "old")
    with (
        pytest.raises(error),
        replaced_directory(target, marker="marker", overwrite=True) as beside,
    ):
        (beside / "marker").write_text("half")
        raise error
    assert (target / "marker").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_failed_renaming_puts_the_old_one_back(tmp_path, monkeypatch):
    target = tmp_path / "a"
    write(target, "old")
    rename = os.replace

    def fail(source, to):
        if "exporting" in str(source):
            raise OSError("no")
        rename(source, to)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no"):
        write(target, "new", overwrite=True)
    assert (target / "marker").read_text() == "old"
    assert names(tmp_path) == ["a"]
