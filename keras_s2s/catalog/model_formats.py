"""The formats of models that `from_preset` and `keras-s2s convert` read and write.

One table: help texts, docs/checkpoints.md and the errors about what is no model are made of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from keras_s2s.catalog.marian_files import is_foreign


class ModelFormat(NamedTuple):
    """A format of models.

    Attributes:
        name: of the format, as `--to` takes it.
        title: what a model of it is called in a sentence, with its article.
        examples: sources as a caller writes them.
        description: what they are, in Markdown.
        marks: names, with wildcards, of which a folder has one; "encoder/config.json" is in a
            folder inside.
        needs: the files that a folder has, in words; empty for what is no folder.
        read: whether `from_preset` reads it.
        written: whether `keras-s2s convert --to` writes it.
    """

    name: str
    title: str
    examples: tuple[str, ...]
    description: str
    marks: tuple[str, ...] = ()
    needs: str = ""
    read: bool = True
    written: bool = False


MODEL_FORMATS: tuple[ModelFormat, ...] = (
    ModelFormat(
        "keras_s2s",
        "a folder that save_to_preset or `keras-s2s train` wrote",
        ("runs/mine/",),
        "a folder that `save_to_preset` or `keras-s2s train` wrote",
        ("preset.yaml",),
        "preset.yaml, model.safetensors, tokenizer/",
        written=True,
    ),
    ModelFormat(
        "huggingface",
        "a Hugging Face folder",
        ("opus-mt-en-de/",),
        "a Hugging Face folder",
        ("config.json",),
        "config.json with a model_type, weights (model.safetensors, pytorch_model.bin, tf_model.h5 "
        "or flax_model.msgpack), tokenizer files",
        written=True,
    ),
    ModelFormat(
        "hub",
        "hf://organisation/name",
        ("hf://Helsinki-NLP/opus-mt-en-de",),
        "the same on their hub, through its cache",
    ),
    ModelFormat(
        "zoo",
        "the name of a preset",
        ("opus_mt_en_de",),
        "a preset of the zoo that points to one; `keras-s2s zoo list` names them "
        "([table](presets.md))",
    ),
    ModelFormat(
        "encoder_decoder",
        "a folder of an EncoderDecoderModel",
        ("bert2bert/",),
        "an encoder and a decoder of two checkpoints, as transformers' `EncoderDecoderModel` "
        "writes them, or a folder for each ([warm start](warm_start.md))",
        ("encoder/config.json",),
        "config.json with model_type encoder-decoder and weights, or encoder/ and decoder/",
    ),
    ModelFormat(
        "ctranslate2",
        "a CTranslate2 folder",
        ("ende_ctranslate2/",),
        "a CTranslate2 folder: the format to which models of OpenNMT-tf, OpenNMT-py, fairseq and "
        "Marian are converted",
        ("model.bin",),
        "model.bin, shared_vocabulary.json or source_ and target_vocabulary.json (or .txt), "
        "config.json since version 6 of the format",
        written=True,
    ),
    ModelFormat(
        "marian",
        "a model of Marian (.npz, .bin, .decoder.yml, or its folder)",
        ("model.npz", "model.bin", "model.npz.decoder.yml", "opus/"),
        "a model in Marian's own files, also OPUS-MT's and Firefox' folders "
        "([below](#marians-own-files))",
        ("*.decoder.yml", "decoder.yml", "*.npz", "*.intgemm.alphas.bin", "*.intgemm8.bin"),
        "a model (.npz or .bin), its vocabularies (.spm, .yml, .vocab), a decoder configuration "
        "(.decoder.yml) where it has one",
        written=True,
    ),
    ModelFormat(
        "kerashub",
        "a KerasHub folder",
        ("bart_base_en/",),
        "a KerasHub folder: what `save_to_preset` of its `BartSeq2SeqLM`, `T5Seq2SeqLM`, or of "
        "their backbones wrote",
        (),
        "config.json with a class of keras_hub, model.weights.h5, assets of the tokenizer",
    ),
    ModelFormat(
        "kerashub_model",
        "a model of keras_hub",
        ("a `keras_hub` model",),
        "one of these in memory",
    ),
    ModelFormat(
        "torch_rnn",
        "a folder with the state dict of a recurrent model from PyTorch and a torch_rnn.yaml",
        ("seq2seq/",),
        "the state dict of a recurrent model from PyTorch "
        "([below](#recurrent-models-from-pytorch))",
        ("torch_rnn.yaml",),
        "torch_rnn.yaml, and weights (.safetensors, .npz or .pt)",
        written=True,
    ),
    ModelFormat(
        "tf_saved_model",
        "a SavedModel",
        (),
        "a SavedModel, text in, text out",
        ("saved_model.pb",),
        "saved_model.pb, variables/",
        read=False,
        written=True,
    ),
)


def model_format(name: str) -> ModelFormat:
    """Returns the format of this name."""
    return next(each for each in MODEL_FORMATS if each.name == name)


def written_formats() -> tuple[str, ...]:
    """Returns the names of the formats that can be written, ours first."""
    return tuple(each.name for each in MODEL_FORMATS if each.written)


def readable_sources(*, names_only: bool = False) -> str:
    """Returns every source that `from_preset` reads, in words.

    Args:
        names_only: leaves out what a shell cannot write: a model in memory.

    Example:
        >>> readable_sources().startswith("a folder that save_to_preset")
        True
    """
    titles = [
        each.title
        for each in MODEL_FORMATS
        if each.read and not (names_only and each.name == "kerashub_model")
    ]
    return ", ".join(titles[:-1]) + f", or {titles[-1]}"


def markdown_table() -> Iterator[str]:
    """Yields the lines of the table in docs/checkpoints.md."""
    yield "| SOURCE | what it is | what the folder has |"
    yield "| --- | --- | --- |"
    for each in MODEL_FORMATS:
        if each.read:
            quoted = [text if "`" in text else f"`{text}`" for text in each.examples]
            yield f"| {', '.join(quoted)} | {each.description} | {each.needs} |"


def format_of_folder(folder: Path) -> ModelFormat | None:
    """Returns the format of which a folder has the marks; None where it has those of none.

    Nothing is read but `config.json`, and names inside of Marian's files: whether the folder is
    whole, its reader finds out.
    """
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return None
    for each in MODEL_FORMATS:
        for mark in each.marks:
            if each.name == "huggingface":
                found = mark in names and config_of(folder).get("model_type") is not None
            elif "/" in mark:
                found = (folder / mark).is_file()
            else:
                found = any(
                    fnmatchcase(name, mark) and not is_foreign(folder / name) for name in names
                )
            if found:
                return each
    return model_format("kerashub") if _is_kerashub(config_of(folder)) else None


def config_of(folder: Path) -> dict[str, object]:
    """Returns the content of `config.json`; empty where there is none that can be read."""
    try:
        data = json.loads((folder / "config.json").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _is_kerashub(config: dict[str, object]) -> bool:
    names = (config.get("module"), config.get("registered_name"))
    return any(isinstance(n, str) and n.startswith(("keras_hub", "keras_nlp")) for n in names)
