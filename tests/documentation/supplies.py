"""What the code blocks of the documentation ask for: files, folders, a hub cache, commands."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import stat
import sys
from pathlib import Path

from checkpoints.marian_files import random_model, write_npz
from parity import test_huggingface_text as folders

#: Commands that would install into this environment or start this suite again. `.ci/run` runs
#: them as the README has them.
INSTALLERS = ("pip", "pytest")

COMMIT = "0123456789abcdef0123456789abcdef01234567"

NOUNS = [("dog", "Hund"), ("man", "Mann"), ("boy", "Junge"), ("bird", "Vogel"), ("child", "Kind")]
VERBS = [("sleeps", "schläft"), ("plays", "spielt"), ("runs", "läuft"), ("waits", "wartet")]
PLACES = [("in the snow", "im Schnee"), ("at home", "daheim"), ("outside", "draußen")]


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """English and German sentences of four words or more."""
    draw = random.Random(seed)
    pairs = []
    for _ in range(count):
        parts = [draw.choice(words) for words in (NOUNS, VERBS, PLACES)]
        english, german = (" ".join(part[side] for part in parts) for side in (0, 1))
        pairs.append((f"A {english}.", f"Ein {german}."))
    return pairs


def write_texts(folder: Path) -> None:
    """Parallel text under every name that the documentation and the recipes use."""
    folder.mkdir(exist_ok=True)
    for split, count in (("train", 160), ("val", 16), ("test", 8), ("test_2016_flickr", 8)):
        pairs = sentences(count, seed=count)
        english, german = ([pair[side] for pair in pairs] for side in (0, 1))
        texts = {
            f"{split}.en": english,
            f"{split}.de": german,
            f"{split}.txt": english,
            f"{split}.tsv": [f"{source}\t-\t{target}" for source, target in pairs],
            f"{split}.jsonl": [json.dumps({"en": s, "de": t}) for s, t in pairs],
        }
        for name, lines in texts.items():
            text = "".join(f"{line}\n" for line in lines)
            (folder / name).write_text(text, encoding="utf-8")
            with gzip.open(folder / f"{name}.gz", "wt", encoding="utf-8") as file:
                file.write(text)


def write_questions(path: Path, articles: int = 1) -> None:
    """Questions about texts in SQuAD's JSON form, one for each article."""
    answers = [{"text": "A dog", "answer_start": 0}, {"text": "dog", "answer_start": 2}]
    asked = {"id": "0", "question": "Who sleeps?", "answers": answers}
    paragraphs = [{"context": "A dog sleeps.", "qas": [asked]}]
    content = {"version": "1.1", "data": [{"title": "A", "paragraphs": paragraphs}] * articles}
    path.write_text(json.dumps(content), encoding="utf-8")


def write_checkpoint(name: str, folder: Path) -> Path:
    """A Hugging Face folder, its tokenizer's files included, around random weights."""
    made = folder.parent / f"{folder.name}_made"
    made.mkdir(parents=True)
    folders.make(name, made)
    shutil.copytree(made / "model", folder)
    shutil.rmtree(made)
    return folder


def write_marian(folder: Path) -> None:
    """A model in Marian's own files, with random weights and a vocabulary of words."""
    folder.mkdir()
    words = ["</s>", "<unk>", "The", "house", "is", "wonderful."]
    tensors, settings = random_model(dim_vocabs=[len(words)] * 2)
    write_npz(folder / "model.npz", tensors, settings)
    ids = "".join(f"{json.dumps(word)}: {i}\n" for i, word in enumerate(words))
    (folder / "vocab.yml").write_text(ids, encoding="utf-8")
    paths = "models: [model.npz]\nvocabs: [vocab.yml, vocab.yml]\nbeam-size: 4\n"
    (folder / "model.npz.decoder.yml").write_text(paths, encoding="utf-8")


def write_halves(folder: Path) -> None:
    """Writes an encoder and a decoder that are pretrained alone, with their tokenizers."""
    import transformers

    tokens = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "a": 5, "##b": 6}
    sizes = dict(num_hidden_layers=1, hidden_size=8, num_attention_heads=2)
    bert = transformers.BertConfig(vocab_size=len(tokens), intermediate_size=8, **sizes)
    words = {"a": 0, "<|endoftext|>": 1}
    gpt2 = transformers.GPT2Config(
        vocab_size=2, n_embd=8, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=1
    )
    transformers.BertModel(bert).save_pretrained(folder / "bert-base-uncased")
    transformers.GPT2LMHeadModel(gpt2).save_pretrained(folder / "gpt2")
    for name, files in (
        ("bert-base-uncased", {"vocab.txt": "\n".join(tokens)}),
        ("gpt2", {"vocab.json": json.dumps(words), "merges.txt": ""}),
    ):
        for file, text in files.items():
            (folder / name / file).write_text(text, encoding="utf-8")


def write_kerashub(folder: Path) -> None:
    """Writes the configuration of KerasHub's BART."""
    sizes = {"vocabulary_size": 50265, "num_layers": 6, "num_heads": 12, "hidden_dim": 768}
    config = {"class_name": "BartBackbone", "config": {**sizes, "intermediate_dim": 3072}}
    (folder / "bart_base_en").mkdir()
    text = json.dumps({"module": "keras_hub.src.models", **config})
    (folder / "bart_base_en" / "config.json").write_text(text, encoding="utf-8")


def fill_hub_cache(cache: Path, repository: str, name: str) -> None:
    """A repository in a cache as huggingface_hub lays it out."""
    place = cache / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    write_checkpoint(name, place / "snapshots" / COMMIT)


def write_commands(folder: Path) -> None:
    """`pip` and `pytest` that do nothing, and `keras-s2s` of this checkout."""
    folder.mkdir()
    scripts = {name: "exit 0" for name in INSTALLERS}
    scripts["keras-s2s"] = f'exec "{sys.executable}" -m keras_s2s.cli "$@"'
    for name, line in scripts.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
