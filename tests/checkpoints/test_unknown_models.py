"""What is said about folders and files that are no model, or lack a part: one case each."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints.marian_files import random_model, write_npz
from parity.random_checkpoints import make as make_model
from parity.random_checkpoints import save
from small_models import COMPILES

from keras_s2s import Seq2SeqLM
from keras_s2s.catalog import no_such_model
from keras_s2s.catalog.model_formats import (
    MODEL_FORMATS,
    format_of_folder,
    markdown_table,
    model_format,
    readable_sources,
    written_formats,
)
from keras_s2s.catalog.torch_pickles import writer_of
from keras_s2s.catalog.unknown_models import LIKENESSES, what_is_in
from keras_s2s.cli import main
from keras_s2s.config import ConfigError
from keras_s2s.export.formats import FORMATS

# No test here has anything to do with the backend.
pytestmark = [pytest.mark.slow] if COMPILES else []

DOCS = Path(__file__).resolve().parents[2] / "docs"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 5\n"
T5 = {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}
GPT2 = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}
LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
INDEX = {"weight_map": {"shared.weight": "pytorch_model-00001-of-00002.bin"}}
SHARD = "pytorch_model-00001-of-00002.bin"

#: Situation: the files of a folder (text, JSON, bytes), and parts of the message, in order.
FOLDERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "empty": ({}, ["no model in this folder, which is empty", "hf://organisation/name"]),
    "notes": (
        {"notes.txt": "x"},
        [
            "which has notes.txt",
            "preset.yaml",
            "config.json with a model_type",
            "model.bin",
            ".npz",
        ],
    ),
    # Hugging Face's
    "no weights": (
        {"config.json": T5, "spiece.model": "x"},
        ["a Hugging Face folder, but no weights here", "model.safetensors", "has config.json"],
    ),
    "an index alone": (
        {"pytorch_model.bin.index.json": INDEX},
        [
            "pytorch_model.bin.index.json, the index",
            "a Hugging Face folder",
            "config.json is missi",
        ],
    ),
    "an index without its files": (
        {"config.json": T5, "pytorch_model.bin.index.json": INDEX},
        ["pytorch_model.bin.index.json: of its 1 files", SHARD, "fetch the checkpoint again"],
    ),
    "weights alone": (
        {"model.safetensors": "x"},
        ["weights (model.safetensors)", "a Hugging Face folder", "config.json is missing"],
    ),
    "a tokenizer alone": (
        {"tokenizer_config.json": {}, "spiece.model": "x"},
        ["files of a tokenizer", "a Hugging Face folder", "config.json and weights are missing"],
    ),
    "a decoder of the zoo": (
        {"config.json": GPT2, "model.safetensors": "x"},
        ["model_type is 'gpt2', an encoder or decoder alone", "from_encoder_decoder", "marian"],
    ),
    "another decoder": (
        {"config.json": LLAMA, "model.safetensors": "x"},
        [
            "model_type is 'llama', a decoder alone (LlamaForCausalLM)",
            "only encoder-decoders",
            "t5",
        ],
    ),
    "a model type misspelt": (
        {"config.json": {"model_type": "mbert2"}, "model.safetensors": "x"},
        ["model_type is 'mbert2'", "did you mean 'mbart'?", "families for"],
    ),
    "config.json of something else": (
        {"config.json": {"hidden": 3}, "model.safetensors.old": "x"},
        ["config.json names no model_type", "hidden", "a Hugging Face folder", "save_pretrained"],
    ),
    "an adapter": (
        {"adapter_config.json": {}, "adapter_model.safetensors": "x"},
        ["a LoRA adapter of PEFT", "a Hugging Face folder", "merge_and_unload"],
    ),
    "ONNX": (
        {"encoder_model.onnx": "x", "decoder_model.onnx": "x", "tokenizer.json": {}},
        ["a model in ONNX", "a Hugging Face folder", "the checkpoint that they were made from"],
    ),
    "ONNX beside config.json": (
        {"config.json": T5, "encoder_model.onnx": "x"},
        ["no weights here", "ONNX files cannot be trained"],
    ),
    "GGUF": ({"t5.gguf": "x"}, ["llama.cpp (t5.gguf)", "the checkpoint that they were made from"]),
    "T5X": ({"checkpoint": "x"}, ["a checkpoint of JAX or TensorFlow", "a Hugging Face folder"]),
    # CTranslate2's, and what is converted to it
    "CTranslate2 without model.bin": (
        {"shared_vocabulary.json": [], "config.json": {}},
        ["the vocabulary of a CTranslate2 model", "a CTranslate2 folder", "model.bin is missing"],
    ),
    "fairseq": (
        {"checkpoint_best.pt": "x", "dict.en.txt": "a 1", "dict.de.txt": "a 1"},
        ["fairseq (checkpoint_best.pt)", "a CTranslate2 folder", "ct2-fairseq-converter --model_p"],
    ),
    "OpenNMT-tf": (
        {"ckpt-500.index": "x", "ckpt-500.data-00000-of-00001": "x", "checkpoint": "x"},
        ["a checkpoint of TensorFlow", "a CTranslate2 folder", "ct2-opennmt-tf-converter"],
    ),
    "Sockeye": (
        {"params.best": "x", "version": "3"},
        ["a model of Sockeye", "a CTranslate2 folder"],
    ),
    # Marian's
    "Marian's vocabulary alone": (
        {"source.spm": "x", "target.spm": "x", "README.md": "x"},
        ["the vocabulary of a model of Marian", "a model of Marian", ".npz or .bin, is missing"],
    ),
    "Marian's state of training alone": (
        {"model.npz.optimizer.npz": "x", "model.npz.progress.yml": "x"},
        ["what Marian writes beside a model", ".npz or .bin, is missing"],
    ),
    "a decoder configuration without its model": (
        {"decoder.yml": "models: [model.npz]\nvocabs: [a.spm, a.spm]\nrelative-paths: true\n"},
        ["decoder.yml: the model", "model.npz is missing"],
    ),
    "OPUS-MT, not unpacked": (
        {"opus-2020-02-26.zip": "x"},
        ["an archive (opus-2020-02-26.zip)", "a model of Marian", "unpack it"],
    ),
    # Keras' and TensorFlow's
    "a SavedModel": (
        {"saved_model.pb": "x", "variables/variables.index": "x"},
        ["a SavedModel of TensorFlow", "the folder that it was exported from", "keras-s2s serve"],
    ),
    "a .keras file": (
        {"model.keras": "x"},
        ["a model that Keras saved (model.keras)", "save_to_preset", "keras.saving.load_model"],
    ),
    "weights of Keras": (
        {"model.weights.h5": "x"},
        ["weights of Keras", "a KerasHub folder", "config.json is missing"],
    ),
    # PyTorch's
    "a state dict": (
        {"model.pth": "x"},
        ["a file of PyTorch (model.pth)", "recurrent model", "a torch_rnn.yaml is missing"],
    ),
    "tensors": ({"net.safetensors": "x"}, ["tensors (net.safetensors)", "torch_rnn.yaml"]),
    # Git's
    "pointers": (
        {"config.json": T5, "model.safetensors": POINTER},
        ["model.safetensors: a Git LFS pointer", "git lfs pull"],
    ),
    "a pointer for Marian's model": (
        {"model.npz": POINTER, "vocab.spm": "x"},
        ["model.npz: a Git LFS pointer", "git lfs pull"],
    ),
    "a pointer for CTranslate2's model": (
        {"model.bin": POINTER, "shared_vocabulary.json": []},
        ["model.bin: a Git LFS pointer", "git lfs pull"],
    ),
    "a pointer for anything": (
        {"weights.xyz": POINTER},
        ["weights.xyz: a Git LFS pointer", "git lfs pull"],
    ),
    # One folder too high
    "a run of transformers' Trainer": (
        {"checkpoint-500/config.json": T5, "checkpoint-500/model.safetensors": "x", "log": "x"},
        ["checkpoint-500 looks like a Hugging Face folder; give that path"],
    ),
    "the hub's cache": (
        {"refs/main": "x", "snapshots/0a1b/config.json": T5, "blobs/ff": "x"},
        ["snapshots/0a1b looks like a Hugging Face folder; give that path"],
    ),
    "a package of Argos": (
        {"metadata.json": {}, "sentencepiece.model": "x", "model/model.bin": "x"},
        ["model looks like a CTranslate2 folder; give that path"],
    ),
}


def write(folder: Path, files: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def check(message: str, parts: list[str]) -> None:
    place = 0
    for part in parts:
        assert part in message[place:], (part, message)
        place = message.index(part, place)
    assert len(message) < 1500


@pytest.mark.parametrize("name", FOLDERS)
def test_folders(name, tmp_path):
    files, parts = FOLDERS[name]
    folder = write(tmp_path / "here", files)
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        Seq2SeqLM.from_preset(folder)
    check(str(error.value), parts)
    assert str(folder) in str(error.value)


def test_the_shell_says_the_same(tmp_path, capsys):
    folder = write(tmp_path / "here", FOLDERS["fairseq"][0])
    assert main(["convert", str(folder), str(tmp_path / "out")]) == 1
    check(capsys.readouterr().err, FOLDERS["fairseq"][1])
    assert not (tmp_path / "out").exists()


#: A path that is a file: the files of its folder, the file, and parts of the message, in order.
FILES: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "config.json of a model": (
        {"config.json": T5, "model.safetensors": "x"},
        "config.json",
        ["config.json is a file; give its folder", "looks like a Hugging Face folder"],
    ),
    "weights of a model": (
        {"config.json": T5, "model.safetensors": "x"},
        "model.safetensors",
        ["model.safetensors is a file; give its folder", "a Hugging Face folder"],
    ),
    "our weights": (
        {"preset.yaml": "x", "model.safetensors": "x"},
        "model.safetensors",
        ["is a file; give its folder", "a folder that save_to_preset"],
    ),
    "CTranslate2's model": (
        {"model.bin": "x", "shared_vocabulary.json": []},
        "model.bin",
        ["model.bin is a file; give its folder", "looks like a CTranslate2 folder"],
    ),
    "a vocabulary of Marian": (
        {"model.npz": "x", "vocab.spm": "x"},
        "vocab.spm",
        ["vocab.spm is a file; give its folder", "a model of Marian"],
    ),
    "Keras": ({"model.keras": "x"}, "model.keras", ["Keras saved", "keras.saving.load_model"]),
    "ONNX": ({"model.onnx": "x"}, "model.onnx", ["a model in ONNX", "a Hugging Face folder"]),
    "zip": ({"opus.zip": "x"}, "opus.zip", ["an archive (opus.zip)", "unpack it", "Give"]),
    "fairseq": (
        {"best.pt": "x", "dict.en.txt": "a 1"},
        "best.pt",
        ["a checkpoint of fairseq (best.pt)", "a CTranslate2 folder", "ct2-fairseq-converter"],
    ),
    "a pointer": ({"a.keras": POINTER}, "a.keras", ["a.keras: a Git LFS pointer", "lfs pull"]),
    "text": (
        {"notes.txt": "x"},
        "notes.txt",
        ["notes.txt is a file, and no model of Marian", "a Hugging Face folder", "a CTranslate2"],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_files(name, tmp_path, capsys):
    files, file, parts = FILES[name]
    path = write(tmp_path / "here", files) / file
    with pytest.raises(ConfigError) as error:
        Seq2SeqLM.from_preset(path)
    check(str(error.value), parts)
    assert main(["convert", str(path), str(tmp_path / "out")]) == 1
    check(capsys.readouterr().err, parts)


def test_every_likeness_has_a_case():
    """The table of what may be found, and the cases above, name the same files."""
    found = [*(files for files, _ in FOLDERS.values()), *(files for files, _, _ in FILES.values())]
    names = {Path(name).name for files in found for name in files}
    missing = [
        each.files
        for each in LIKENESSES
        if each.writer is None and not any(Path(n).match(p) for n in names for p in each.files)
    ]
    assert len(LIKENESSES) >= 20
    assert missing == [("*.ckpt",)]  # the same as a file of PyTorch, and not read either


# --------------------------------------------------------------------------------------
# What is a model after all
# --------------------------------------------------------------------------------------


def test_a_model_of_marian_without_its_vocabulary(tmp_path):
    tensors, settings = random_model()
    write_npz(tmp_path / "model.npz", tensors, settings)
    model = Seq2SeqLM.from_preset(tmp_path, verbose=False)
    assert model.preprocessor is None
    assert any("no vocabulary (.spm, .yml, .vocab)" in note for note in model.load_report.notes)


def test_marks_of_folders(tmp_path):
    """As OPUS-MT's archive unpacks, and as Firefox' student lies."""
    opus = ["decoder.yml", "opus.npz", "source.spm", "target.spm", "opus.vocab.yml", "LICENSE"]
    student = ["model.deen.intgemm.alphas.bin", "vocab.deen.spm", "lex.50.50.deen.s2t.bin"]
    for name, files in {"opus": opus, "student": student}.items():
        assert format_of_folder(write(tmp_path / name, dict.fromkeys(files, "x"))).name == "marian"


# --------------------------------------------------------------------------------------
# Who wrote a file of PyTorch
# --------------------------------------------------------------------------------------

WRITTEN: dict[str, tuple[dict[str, Any], str | None, str]] = {
    "OpenNMT-py 3": (
        {"model": {}, "generator": {}, "vocab": {}, "opt": {"layers": 6}, "optim": None},
        "OpenNMT-py",
        "ct2-opennmt-py-converter",
    ),
    "OpenNMT-py 2": (
        {"model": {}, "generator": {}, "fields": {}, "opt": {}},
        "OpenNMT-py",
        "ct2-opennmt-py-converter",
    ),
    "fairseq": (
        {"args": None, "cfg": {}, "model": {}, "optimizer_history": [], "extra_state": {}},
        "fairseq",
        "its dict.*.txt are missing",
    ),
    "Lightning": (
        {"state_dict": {}, "pytorch-lightning_version": "2.0"},
        "Lightning",
        "its own save_pretrained",
    ),
    "a state dict": ({"encoder.weight": 1}, None, "a torch_rnn.yaml is missing"),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", WRITTEN)
def test_writers_of_files_of_pytorch(name, zipped, tmp_path):
    torch = pytest.importorskip("torch")
    content, writer, advice = WRITTEN[name]
    path = tmp_path / "model.pt"
    content = {**content, "weights": torch.zeros(3)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert writer_of(path) == writer
    with pytest.raises(ValueError) as error:
        Seq2SeqLM.from_preset(tmp_path)
    check(str(error.value), [f"{writer or 'PyTorch'} (model.pt)", advice])


class Evil:
    """An object whose pickle writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (shutil.copyfile, (__file__, str(self.path)))


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_is_unpickled(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    victim = tmp_path / "victim"
    torch.save({"x": Evil(victim)}, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    assert writer_of(tmp_path / "m.pt") is None
    with pytest.raises(ValueError):
        Seq2SeqLM.from_preset(tmp_path)
    assert not victim.exists()


def test_broken_files_of_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.pt"
    torch.save({"model": {}, "generator": {}, "vocab": {}, "opt": {}}, path)
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(200):
        changed = bytearray(content)
        for _ in range(rng.integers(1, 9)):
            changed[rng.integers(len(changed))] = rng.integers(256)
        path.write_bytes(changed[: rng.integers(1, len(changed) + 1)])
        assert writer_of(path) in (None, "OpenNMT-py")


@pytest.mark.parametrize("way", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_broken_files_in_other_archives(tmp_path, way):
    """PyTorch compresses nothing, but other programs do; each way has errors of its own."""
    path = tmp_path / "model.ckpt"
    content = {"state_dict": {str(i): i for i in range(300)}, "pytorch-lightning_version": "2"}
    with zipfile.ZipFile(path, "w", way) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content))
    assert writer_of(path) == "Lightning"
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(200):
        changed = bytearray(whole)
        for _ in range(rng.integers(1, 5)):
            changed[rng.integers(len(changed))] = rng.integers(256)
        path.write_bytes(changed)
        assert writer_of(path) in (None, "Lightning")


def test_many_folders_inside(tmp_path):
    """The nearest model is named, and the search ends."""
    for i in range(30):
        for j in range(20):
            (tmp_path / f"a{i:02}" / f"b{j:02}").mkdir(parents=True)
    below = tmp_path / "a00" / "b00" / "deep"
    for folder in (below, tmp_path / "z"):
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(T5))
    assert f"; {tmp_path / 'z'} looks like a Hugging Face folder; give" in what_is_in(tmp_path)


# --------------------------------------------------------------------------------------
# The table of formats
# --------------------------------------------------------------------------------------


def test_docs_have_the_table():
    lines = (DOCS / "checkpoints.md").read_text(encoding="utf-8").splitlines()
    table = list(markdown_table())
    start = lines.index(table[0])
    assert lines[start : start + len(table)] == table, "write it anew: markdown_table()"
    assert not lines[start + len(table)].startswith("|")


def test_every_format_is_named_everywhere(capsys):
    titles = [each.title for each in MODEL_FORMATS if each.read]
    assert len(titles) >= 9
    assert all(title in readable_sources() for title in titles)
    in_memory = model_format("kerashub_model").title
    assert main(["convert", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for title in titles:
        if title != in_memory:
            assert title in shown, title
            assert title in str(no_such_model("qqqqqq")), title
    for name in written_formats():
        assert name in shown
    doc = Seq2SeqLM.from_preset.__doc__
    for word in ("save_to_preset", "Hugging", "hf://", "CTranslate2", "keras_hub", "KerasHub"):
        assert word in doc
    for word in ("Marian", "torch_rnn.yaml", "list_presets()", ".decoder.yml"):
        assert word in doc


def test_formats_that_are_written_are_those_of_export():
    assert set(written_formats()) == {"keras_s2s", *FORMATS}


def test_formats_are_told_by_their_marks(tmp_path):
    model = make_model("t5", "shallow")
    folder = save(model, tmp_path / "t5")
    assert format_of_folder(folder).name == "huggingface"
    ours = Seq2SeqLM.from_preset(folder, verbose=False)
    ours.save_to_preset(tmp_path / "own")
    assert format_of_folder(tmp_path / "own").name == "keras_s2s"
    assert format_of_folder(tmp_path) is None
