"""Tokenizers with vocabularies of the size that public models have, made up from random words."""

from __future__ import annotations

import functools
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hugging_face_folders import fairseq_vocabulary, write_folder

from keras_s2s.config import TokenizerConfig
from keras_s2s.text import train_tokenizer
from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers
from keras_s2s.text.pretrained.sentencepiece_file import SentencePieceFileTokenizer
from keras_s2s.text.pretrained.tokenizer_files import TokenizerFiles
from keras_s2s.text.trained.byte_level_bpe import byte_characters

SIZE = 32_000

_SCRIPTS = [
    ("bcdfghklmnprstvz", "aeiouyäö"),
    ("бвгдзклмнпрст", "аеиоуыя"),
    ("βγδζκλμνπρστ", "αεηιουω"),
    ("".join(map(chr, range(0xAC00, 0xD7A4, 17))), "가나다라은는이을"),
]


@functools.cache
def words() -> list[str]:
    """60,000 words of four scripts, some with a capital letter."""
    rng = random.Random(1)

    def word() -> str:
        consonants, vowels = rng.choice(_SCRIPTS)
        made = "".join(
            rng.choice(consonants) + rng.choice(vowels) + rng.choice(["", rng.choice(consonants)])
            for _ in range(rng.randint(1, 4))
        )
        return made.capitalize() if rng.random() < 0.1 else made

    return [word() for _ in range(60_000)]


def sentences(count: int) -> list[str]:
    """Texts of these words, of which few are frequent, as in a language."""
    rng = random.Random(2)
    weights = [1 / (rank + 20) for rank in range(len(words()))]
    drawn = iter(rng.choices(words(), weights, k=count * 16))
    ends = [".", "!", "?", ", 3.5 %", "", " </s>"]
    return [
        " ".join(next(drawn) for _ in range(rng.randint(1, 16))) + rng.choice(ends)
        for _ in range(count)
    ]


@functools.cache
def sentencepiece_model(kind: str) -> bytes:
    """A model of 32,000 pieces; `<unk> <s> </s>` come first, or T5's `<pad> </s> <unk>`."""
    import sentencepiece

    fairseq = {"unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": -1}
    ids = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1} if kind == "t5" else fairseq
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words()),
        model_writer=model,
        model_type="bpe" if kind == "bpe" else "unigram",
        vocab_size=SIZE,
        num_threads=1,
        minloglevel=4,
        **ids,
    )
    return model.getvalue()


def merges(count: int) -> list[tuple[str, str]]:
    """Merges of bytes, written as GPT-2 does: each is part of a way to make one of the words."""
    rng = random.Random(3)
    characters = byte_characters()
    found: dict[tuple[str, str], None] = {}
    while len(found) < count:
        symbols = [characters[byte] for byte in f" {rng.choice(words())}".encode()]
        while len(symbols) > 1 and len(found) < count:
            at = rng.randrange(len(symbols) - 1)
            pair = (symbols[at], symbols[at + 1])
            found.setdefault(pair)
            symbols[at : at + 2] = ["".join(pair)]
    return list(found)


def _gpt2(folder: Path) -> Any:
    made = merges(50_000)
    tokens = ["<|endoftext|>", *byte_characters(), *("".join(pair) for pair in made)]
    vocab = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    text = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in made), ""])
    files = {"vocab.json": json.dumps(vocab).encode(), "merges.txt": text.encode()}
    return _read(write_folder(folder, "gpt2", files))


def _bert(folder: Path) -> Any:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = sorted({c for word in words() for c in word})
    pieces = dict.fromkeys([*special, *characters, *(f"##{c}" for c in characters)])
    for word in words():
        pieces.setdefault(word)
        pieces.setdefault(f"##{word[len(word) // 2 :]}")
    text = "\n".join([*list(pieces)[:30_000], ""])
    config = {"do_lower_case": False}
    files = {"vocab.txt": text.encode(), "tokenizer_config.json": config}
    return _read(write_folder(folder, "bert", files))


def _t5(folder: Path) -> Any:
    return _read(write_folder(folder, "t5", {"spiece.model": sentencepiece_model("t5")}))


def _nllb(folder: Path) -> Any:
    config = {"tokenizer_class": "NllbTokenizer", "src_lang": "eng_Latn", "tgt_lang": "kor_Hang"}
    model = sentencepiece_model("bpe")
    files = {"sentencepiece.bpe.model": model, "tokenizer_config.json": config}
    return _read(write_folder(folder, "m2m_100", files))


def _m2m_100(folder: Path) -> Any:
    model = sentencepiece_model("unigram")
    files = {"sentencepiece.bpe.model": model, "vocab.json": fairseq_vocabulary(model)}
    return _read(write_folder(folder, "m2m_100", files))


def _sentencepiece_file(folder: Path) -> Any:
    files = TokenizerFiles({"spiece.model": sentencepiece_model("t5")}, "test")
    return SentencePieceFileTokenizer(files, "T5Tokenizer")


def _word(folder: Path) -> Any:
    return train_tokenizer(sentences(30_000), TokenizerConfig(kind="word", vocab_size=SIZE))


def _read(folder: Path) -> Any:
    model_type = json.loads((folder / "config.json").read_text())["model_type"]
    found = load_pretrained_tokenizers(folder, model_type)
    assert found is not None
    return found.source


#: Name of a case to what makes its tokenizer, in a folder.
LARGE: dict[str, Callable[[Path], Any]] = {
    "word": _word,
    "sentencepiece_file": _sentencepiece_file,
    "gpt2": _gpt2,
    "bert": _bert,
    "t5": _t5,
    "nllb": _nllb,
    "m2m_100": _m2m_100,
}
