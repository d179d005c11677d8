"""Files that are foreign, cut off, pointers, missing or not to be read: each error says which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints.marian_files import pack_bin, random_model, write_npz
from parity.random_checkpoints import make as make_model
from parity.random_checkpoints import save
from small_models import COMPILES

from keras_s2s import Seq2SeqLM
from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.marian_bin_file import is_marian_bin
from keras_s2s.checkpoints.marian.reader import MarianModel
from keras_s2s.config import ConfigError

# No test here has anything to do with the backend.
pytestmark = [pytest.mark.slow] if COMPILES else []

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 5\n"
T5 = json.dumps({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]})


def message_of(source: Any) -> str:
    with pytest.raises((ConfigError, CheckpointError)) as caught:
        Seq2SeqLM.from_preset(source)
    return str(caught.value)


# --------------------------------------------------------------------------------------
# Marian's files and others
# --------------------------------------------------------------------------------------


def test_arrays_of_others_are_no_model_of_marian(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    np.savez(tmp_path / "embeddings.npz", a=np.zeros(3))
    (tmp_path / "x.decoder.yml").write_text("layers: 3\n")
    assert "give its folder" not in message_of(tmp_path / "notes.txt")
    told = message_of(tmp_path)
    assert "no model in this folder" in told
    assert "arrays of NumPy (embeddings.npz)" in told and "special:model.yml is missing" in told
    assert "special:model.yml is missing" in message_of(tmp_path / "embeddings.npz")
    write_npz(tmp_path / "model.npz", *random_model())
    assert "give its folder" in message_of(tmp_path / "notes.txt")
    assert MarianModel(tmp_path).path.name == "model.npz"  # the one that is a model
    write_npz(tmp_path / "other.npz", *random_model())
    assert "several models of Marian (model.npz, other.npz)" in message_of(tmp_path)


@pytest.mark.parametrize("length", [8, 16, 100, 700])
def test_a_bin_file_that_was_cut_off_says_so(length, tmp_path):
    content, _ = pack_bin(*random_model())
    path = tmp_path / "model.bin"
    path.write_bytes(content[:length])
    for source in (path, tmp_path):
        told = message_of(source)
        assert "fetch it again: it is truncated or damaged" in told, told
        assert str(path) in told


def test_another_bin_file_says_what_was_found(tmp_path):
    path = tmp_path / "other.bin"
    path.write_bytes(b"\2\0\0\0\0\0\0\0" * 4)
    assert not is_marian_bin(path)
    assert "it has 32 bytes and begins with 02 00 00 00 00 00 00 00" in message_of(path)
    path.write_bytes(b"")
    assert "it is empty; fetch it again" in message_of(path)


# --------------------------------------------------------------------------------------
# What the system does not give
# --------------------------------------------------------------------------------------


def test_what_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    """Permissions do not bind every user that runs tests: opening is what refuses here."""
    marian = write_npz(tmp_path / "model.npz", *random_model())
    config = tmp_path / "t5" / "config.json"
    config.parent.mkdir()
    config.write_text(T5)
    real = Path.open

    def refusing(self: Path, *args: Any, **options: Any) -> Any:
        if self in (marian, config):
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *args, **options)

    monkeypatch.setattr(Path, "open", refusing)
    for source, file in ((marian, marian), (config.parent, config)):
        told = message_of(source)
        assert told == f"{file}: cannot be read: permission denied; make it readable (chmod u+r)"


def test_folders_in_the_place_of_files(tmp_path):
    (tmp_path / "config.json").mkdir()
    assert "config.json: cannot be read: a folder stands here" in message_of(tmp_path)
    (tmp_path / "marian" / "model.npz").mkdir(parents=True)
    assert "model.npz: cannot be read: a folder stands here" in message_of(tmp_path / "marian")


def test_names_that_no_file_can_have():
    told = message_of("x" * 300)
    assert told.startswith("xxx") and "...: no such folder (File name too long)" in told


# --------------------------------------------------------------------------------------
# Pointers, and names on the hub
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "preset.yaml"])
def test_pointers_in_the_place_of_settings(name, tmp_path):
    save(make_model("t5", "shallow"), tmp_path)
    (tmp_path / name).write_text(POINTER)
    told = message_of(tmp_path)
    assert f"{name}: a Git LFS pointer" in told and "git lfs pull" in told


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("https://huggingface.co/google/flan-t5-small", "google/flan-t5-small"),
        ("https://huggingface.co/google/flan-t5-small/tree/main", "google/flan-t5-small"),
        ("huggingface.co/a/b", "a/b"),
        ("HF://a/b", "a/b"),
        ("hf:a/b", "a/b"),
        ("hf:/a/b", "a/b"),
    ],
)
def test_other_spellings_of_a_name_on_the_hub(written, name):
    assert message_of(written) == (
        f"{written}: no such folder; a model on the hub is written as hf://{name}"
    )


# --------------------------------------------------------------------------------------
# Tokenizers
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "named", "missing"),
    [
        ("tokenizer_config.json", "T5Tokenizer", "spiece.model, or tokenizer.json, is missing"),
        ("tokenizer_config.json", "T5TokenizerFast", "spiece.model, or tokenizer.json, is"),
        ("tokenizer_config.json", "MarianTokenizer", "source.spm and target.spm and vocab.json ar"),
        ("tokenizer_config.json", "BartTokenizer", "vocab.json and merges.txt, or tokenizer.json,"),
        ("tokenizer_config.json", "OtherTokenizer", "tokenizer.json is missing"),
        (None, None, None),
    ],
)
def test_a_tokenizer_that_is_named_and_not_there_is_noted(where, named, missing, tmp_path):
    save(make_model("t5", "shallow"), tmp_path)
    if where is not None:
        (tmp_path / where).write_text(json.dumps({"tokenizer_class": named}))
    model = Seq2SeqLM.from_preset(tmp_path, verbose=False)
    assert model.preprocessor is None
    notes = [note for note in model.load_report.notes if "works on ids" in note]
    if named is None:
        assert notes == []
    else:
        (note,) = notes
        assert note.startswith(f"{where} names a {named}, but {missing}")
