"""Says what a folder or file is that is no model: what was found, which format is nearest, and what
lacks for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from keras_s2s.catalog.model_formats import (
    MODEL_FORMATS,
    config_of,
    format_of_folder,
    model_format,
    readable_sources,
)
from keras_s2s.catalog.torch_pickles import writer_of
from keras_s2s.config.git_pointers import is_pointer, pointer_message

_SHOWN = 12
#: How deep models are looked for inside a folder, in how many folders, and how many are named.
_DEPTH, _FOLDERS, _INSIDE = 3, 200, 3


class Likeness(NamedTuple):
    """What a folder or file may be that cannot be read.

    Attributes:
        files: names, with wildcards, one of which is there.
        found: what it is, in words; `{file}` is the one found.
        nearest: the format of `MODEL_FORMATS` that is nearest.
        advice: what lacks for that format, or how one is made; `{file}` and `{folder}` are paths.
        beside: names, with wildcards, one of which has to be there as well.
        writer: the library that wrote a file of PyTorch, where only its content tells.
    """

    files: tuple[str, ...]
    found: str
    nearest: str
    advice: str
    beside: tuple[str, ...] = ()
    writer: str | None = None


_CONVERTER = "`{command} --output_dir DIR` of the ctranslate2 package writes one"

#: From the narrow to the wide: the first that fits is taken.
LIKENESSES: tuple[Likeness, ...] = (
    Likeness(
        ("saved_model.pb",),
        "a SavedModel of TensorFlow ({file})",
        "keras_s2s",
        "the weights in its graph cannot be read; give the folder that it was exported from. "
        "`keras-s2s serve` and tf.saved_model.load run it as it is",
    ),
    Likeness(
        ("*.keras",),
        "a model that Keras saved ({file})",
        "keras_s2s",
        "keras.saving.load_model reads it; save_to_preset of what it returns writes a folder",
    ),
    Likeness(
        ("adapter_config.json",),
        "a LoRA adapter of PEFT ({file})",
        "huggingface",
        "it holds no model: merge it into its base model (merge_and_unload) and save that",
    ),
    Likeness(
        ("*.onnx",),
        "a model in ONNX ({file})",
        "huggingface",
        "ONNX files cannot be trained; give the checkpoint that they were made from",
    ),
    Likeness(
        ("*.gguf",),
        "a model for llama.cpp ({file})",
        "huggingface",
        "GGUF files cannot be read; give the checkpoint that they were made from",
    ),
    Likeness(
        ("*.safetensors.index.json", "*.bin.index.json", "*.h5.index.json", "*.msgpack.index.json"),
        "{file}, the index of weights in several files",
        "huggingface",
        "config.json is missing, and the files that the index names have to be there",
    ),
    Likeness(
        (
            "model.safetensors",
            "model-*-of-*.safetensors",
            "pytorch_model*.bin",
            "tf_model*.h5",
            "flax_model*.msgpack",
        ),
        "weights ({file})",
        "huggingface",
        "config.json is missing (beside a model.safetensors of ours: preset.yaml; beside a "
        "recurrent model of PyTorch: torch_rnn.yaml)",
    ),
    Likeness(
        ("model.weights.h5", "*.weights.h5"),
        "weights of Keras ({file})",
        "kerashub",
        "config.json is missing; weights alone do not say what they belong to, and "
        "model.load_weights reads them into a model that is built already",
    ),
    Likeness(
        ("shared_vocabulary.*", "source_vocabulary.*", "target_vocabulary.*"),
        "the vocabulary of a CTranslate2 model ({file})",
        "ctranslate2",
        "model.bin is missing",
    ),
    Likeness(
        ("*.pt", "*.pth"),
        "a checkpoint of fairseq ({file})",
        "ctranslate2",
        "its pickle is not read; "
        + _CONVERTER.format(
            command="ct2-fairseq-converter --model_path {file} --data_dir {folder}"
        ),
        beside=("dict.*.txt",),
    ),
    Likeness(
        ("*.pt", "*.pth"),
        "a checkpoint of fairseq ({file})",
        "ctranslate2",
        "its pickle is not read, and its dict.*.txt are missing beside it; with them "
        + _CONVERTER.format(
            command="ct2-fairseq-converter --model_path {file} --data_dir {folder}"
        ),
        writer="fairseq",
    ),
    Likeness(
        ("*.pt", "*.pth"),
        "a checkpoint of OpenNMT-py ({file})",
        "ctranslate2",
        "its pickle is not read; "
        + _CONVERTER.format(command="ct2-opennmt-py-converter --model_path {file}"),
        writer="OpenNMT-py",
    ),
    Likeness(
        ("*.pt", "*.pth", "*.ckpt"),
        "a checkpoint of Lightning ({file})",
        "huggingface",
        "save the model inside with its own save_pretrained",
        writer="Lightning",
    ),
    Likeness(
        ("*.pt", "*.pth"),
        "a file of PyTorch ({file})",
        "torch_rnn",
        "for the state dict of a recurrent model a torch_rnn.yaml is missing "
        "(docs/checkpoints.md); any other model is saved with save_pretrained",
    ),
    Likeness(
        ("*.ckpt-*.index", "ckpt-*.index", "*.data-00000-of-*"),
        "a checkpoint of TensorFlow ({file})",
        "ctranslate2",
        "for one of OpenNMT-tf "
        + _CONVERTER.format(command="ct2-opennmt-tf-converter --model_path {folder}"),
    ),
    Likeness(
        ("*.ckpt",),
        "a checkpoint of TensorFlow 1, Lightning or JoeyNMT ({file})",
        "huggingface",
        "it is not read; convert it with the library that wrote it",
    ),
    Likeness(
        ("_METADATA", "_CHECKPOINT_METADATA", "checkpoint"),
        "a checkpoint of JAX or TensorFlow ({file})",
        "huggingface",
        "it is not read; convert it with the library that wrote it (T5X: "
        "convert_t5x_checkpoint_to_pytorch of transformers)",
    ),
    Likeness(
        ("params.best", "params.0*"),
        "a model of Sockeye ({file})",
        "ctranslate2",
        "its parameters are not read, and CTranslate2 has no converter for them",
    ),
    Likeness(
        ("*.optimizer.npz", "*.progress.yml", "*.npz.yml", "*.npz.progress.yml"),
        "what Marian writes beside a model ({file})",
        "marian",
        "the model itself, .npz or .bin, is missing",
    ),
    Likeness(
        (
            "tokenizer.json",
            "tokenizer_config.json",
            "spiece.model",
            "sentencepiece.bpe.model",
            "vocab.json",
        ),
        "files of a tokenizer ({file})",
        "huggingface",
        "config.json and weights are missing",
    ),
    Likeness(
        ("*.spm", "*.vocab", "vocab*.yml", "*.vocab.yml", "lex.*.bin"),
        "the vocabulary of a model of Marian ({file})",
        "marian",
        "the model itself, .npz or .bin, is missing",
    ),
    Likeness(
        ("*.safetensors",),
        "tensors ({file})",
        "torch_rnn",
        "what they belong to is not said: a torch_rnn.yaml (a recurrent model from PyTorch) or a "
        "config.json (Hugging Face, beside a model.safetensors) is missing",
    ),
    Likeness(
        ("*.npz",),
        "arrays of NumPy ({file})",
        "marian",
        "the array special:model.yml is missing, with which Marian says what a model is",
    ),
    Likeness(
        ("*.zip", "*.tar", "*.tar.gz", "*.tgz", "*.argosmodel"),
        "an archive ({file})",
        "marian",
        "unpack it, and give the folder with its files",
    ),
)


def what_is_in(folder: Path) -> str:
    """Returns the message about a folder that holds no model.

    It says what was found, which format is nearest, what lacks, and where inside a model lies.
    """
    entries = sorted(folder.iterdir())
    names = [entry.name for entry in entries]
    shown = ", ".join(names[:_SHOWN])
    if len(names) > _SHOWN:
        shown += f" and {len(names) - _SHOWN} more"
    message = f"{folder}: no model in this folder"
    if not names:
        return f"{message}, which is empty; give {readable_sources()}"
    if pointer := next((e for e in entries if e.is_file() and is_pointer(e)), None):
        return f"{message}; {pointer_message(pointer)}"
    inside = _models_inside(entries)
    likeness = _likeness(folder, names)
    if likeness is None and inside:
        return f"{message}, which has {shown}; {_inside_message(folder, inside)}"
    if likeness is None and "config.json" in names:
        return f"{message}: {_config_message(folder)}"
    if likeness is None:
        return (
            f"{message}, which has {shown}. A folder with a model has {_all_needs()}; "
            "docs/checkpoints.md has the table"
        )
    where = f"; {_inside_message(folder, inside)}" if inside else ""
    return f"{message}, which has {shown}: {likeness}{where}"


def what_is(file: Path) -> str:
    """Returns the message about a file that is no model."""
    if is_pointer(file):
        return pointer_message(file)
    if likeness := _likeness(file.parent, [file.name], beside=_names(file.parent)):
        message = f"{file}: {likeness}"
    else:
        message = f"{file} is a file, and no model of Marian (.npz, .bin, .decoder.yml)"
        if file.suffix == ".bin":
            message += f": it {_beginning(file)}"
    if (found := format_of_folder(file.parent)) and found.read:
        # A file of a model: its folder is meant.
        return f"{file} is a file; give its folder, {file.parent}, which looks like {found.title}"
    return f"{message}. Give {readable_sources()}"


def _likeness(folder: Path, names: Sequence[str], beside: Sequence[str] = ()) -> str | None:
    """Returns what files look like, the nearest format and what lacks; None for nothing known."""
    beside = beside or names
    for each in LIKENESSES:
        file = _match(names, each.files)
        if file is None or (each.beside and _match(beside, each.beside) is None):
            continue
        if each.writer is not None and writer_of(folder / file) != each.writer:
            continue
        form = model_format(each.nearest)
        advice = each.advice.replace("{file}", str(folder / file)).replace("{folder}", str(folder))
        return (
            f"{each.found.replace('{file}', file)}. Nearest is {form.title}, which has "
            f"{form.needs}: {advice}"
        )
    return None


def _match(names: Sequence[str], patterns: Sequence[str]) -> str | None:
    return next((n for p in patterns for n in names if fnmatchcase(n, p)), None)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []


def _beginning(file: Path) -> str:
    """Returns how long a file is, and what it begins with."""
    try:
        with file.open("rb") as opened:
            start = opened.read(8)
        size = file.stat().st_size
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not start:
        return "is empty; fetch it again"
    return f"has {size:,} bytes and begins with {start.hex(' ')}"


def _config_message(folder: Path) -> str:
    """Returns the message about a `config.json` that names no model."""
    keys = [key for key in config_of(folder) if key != "model_type"]  # which is null
    named = ", ".join(keys[:8]) or "nothing that can be read"
    return (
        "config.json names no model_type, and no class of keras_hub, but "
        f"{named}. Nearest is {model_format('huggingface').title}, whose config.json has a "
        "model_type; save the model again with save_pretrained, or fetch its config.json again"
    )


def _all_needs() -> str:
    needs = [f"{each.needs} ({each.name})" for each in MODEL_FORMATS if each.read and each.needs]
    return "; ".join(needs[:-1]) + f"; or {needs[-1]}"


def _models_inside(entries: Sequence[Path]) -> list[tuple[Path, str]]:
    """Returns the nearest folders inside that have the marks of a format, and its title."""
    found: list[tuple[Path, str]] = []
    looked_at = 0
    for _ in range(_DEPTH):
        below: list[Path] = []
        for folder in filter(_is_folder, entries):
            if looked_at == _FOLDERS or len(found) == _INSIDE:
                return found
            looked_at += 1
            if (form := format_of_folder(folder)) is not None:
                found.append((folder, form.title))
                continue
            with contextlib.suppress(OSError):
                below += sorted(folder.iterdir())
        entries = below
    return found


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # one that may not be looked into
        return False


def _inside_message(folder: Path, inside: Sequence[tuple[Path, str]]) -> str:
    places = " and ".join(f"{place} looks like {title}" for place, title in inside)
    return f"{places}; give that path" if len(inside) == 1 else f"{places}; give one of these paths"
