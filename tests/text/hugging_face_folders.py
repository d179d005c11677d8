"""Tiny tokenizer folders as public checkpoints have them, and random texts to try them with."""

from __future__ import annotations

import functools
import io
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from text_samples import CORPUS

from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers

MORE = [
    "The quick brown fox jumps over the lazy dog; it wasn't here, was it?",
    "Numbers 0 1 2 3 4 5 6 7 8 9 and signs ! ? , . ' - ( ) : < > _ / in one line.",
    "def maximum(a, b): return max([a, b])",
    "eng Latn kor Hang en XX ro RO java python extra id mask unk pad",
]
TEXTS = CORPUS + MORE * 3


@functools.cache
def sentencepiece_model(
    *,
    kind: str = "unigram",
    size: int = 300,
    rule: str = "nmt_nfkc",
    special: tuple[str, ...] = ("<unk>", "<s>", "</s>"),
    symbols: tuple[str, ...] = (),
    control: tuple[str, ...] = (),
    unknown: bool = False,
    byte_pieces: bool = False,
) -> bytes:
    """A `.model` file whose first pieces are `special`, in this order.

    `symbols` stay whole in a text; `control` follow the special ones and never come from text.
    With `unknown`, rare characters are left out of the vocabulary; with `byte_pieces`, characters
    that it lacks become pieces of a byte each.
    """
    import sentencepiece

    model = io.BytesIO()
    ids = {f"{name}_id": -1 for name in ("pad", "unk", "bos", "eos")}
    names = {"<pad>": "pad", "<unk>": "unk", "<s>": "bos", "</s>": "eos"}
    for i, token in enumerate(special):
        ids[f"{names[token]}_id"] = i
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS),
        model_writer=model,
        model_type=kind,
        vocab_size=size,
        hard_vocab_limit=False,
        normalization_rule_name=rule,
        user_defined_symbols=list(symbols),
        control_symbols=list(control),
        character_coverage=0.98 if unknown else 1.0,
        byte_fallback=byte_pieces,
        num_threads=1,
        minloglevel=4,
        **ids,
    )
    return model.getvalue()


def pieces(model: bytes) -> list[str]:
    """Every piece of a SentencePiece model, by id."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]


@functools.cache
def byte_level_files(size: int = 400) -> tuple[bytes, bytes]:
    """`vocab.json` and `merges.txt` of a byte-level BPE, special tokens first as in BART."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    pipeline = Tokenizer(models.BPE())
    pipeline.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    pipeline.train_from_iterator(iter(TEXTS), trainer)
    model = json.loads(pipeline.to_str())["model"]
    vocab = {**model["vocab"], "<mask>": len(model["vocab"])}
    merges = [" ".join(m) if isinstance(m, list) else m for m in model["merges"]]
    text = "\n".join(["#version: 0.2", *merges, ""])
    return json.dumps(vocab, ensure_ascii=False).encode(), text.encode()


@functools.cache
def word_bpe_files() -> tuple[bytes, bytes]:
    """`vocab.json` and `merges.txt` of Blenderbot-small: `</w>` ends a word in the merges."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    pipeline = Tokenizer(models.BPE(unk_token="__unk__"))
    pipeline.normalizer = normalizers.Lowercase()
    pipeline.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=300, end_of_word_suffix="</w>", show_progress=False)
    pipeline.train_from_iterator(iter(TEXTS), trainer)
    model = json.loads(pipeline.to_str())["model"]
    tokens = ["__null__", "__start__", "__end__", "__unk__", "__newln__"]
    for token in model["vocab"]:
        plain = token.removesuffix("</w>") if token.endswith("</w>") else f"{token}@@"
        if plain not in tokens:
            tokens.append(plain)
    merges = [" ".join(m) if isinstance(m, list) else m for m in model["merges"]]
    vocab = {token: i for i, token in enumerate(tokens)}
    text = "\n".join(["#version: 0.2", *merges, ""])
    return json.dumps(vocab).encode(), text.encode()


def write_folder(folder: Path, model_type: str, files: dict[str, Any], **config: Any) -> Path:
    """A folder with these files; mappings are written as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type, **config}))
    for name, content in files.items():
        if not isinstance(content, bytes):
            content = json.dumps(content, ensure_ascii=False).encode()
        (folder / name).write_bytes(content)
    return folder


def fairseq_vocabulary(model: bytes, *, last: tuple[str, ...] = ()) -> dict[str, int]:
    """A `vocab.json` in fairseq's order: `<s> <pad> </s> <unk>`, then pieces."""
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *pieces(model)[3:], *last]
    return {token: i for i, token in enumerate(tokens)}


def added(content: str, **flags: bool) -> dict[str, Any]:
    off = {name: False for name in ("lstrip", "rstrip", "single_word", "normalized", "special")}
    return {"content": content, **off, **flags}


def saved_by_transformers(folder: Path, source: Path) -> Path:
    """The folder that `save_pretrained` of transformers 5 makes of another."""
    import transformers

    transformers.AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    (folder / "config.json").write_bytes((source / "config.json").read_bytes())
    return folder


# --------------------------------------------------------------------------------------
# Texts
# --------------------------------------------------------------------------------------

ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÜß",
    "0123456789.,;:!?'\"()[]{}<>@#%&*-_/\\",
    " ",
    " \t\n\r\x0b\x0c\x85\xa0\u2003\u3000\u200b\ufeff",
    "\x00\x01\x07\x1b\x1f\x7f\u200d\u202e\u2066\ufffd",
    "두젊은남자가덤불근처밖에있다안녕하세요",
    "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "👨👩👧👦🇰🇷👍🏽❤\ufe0f\u200d🔥",
    "e\u0301a\u0328\u0301o\u0308n\u0303İıſßŉﬁ",
    "هذه جملة العربية؟عברית",
    "हिन्दीमेंवाक्य",
    "我爱自然语言处理。，、！",
    "½²Ⅳ…①ＡＢＣ™",
    "▁▅ĠĊ@@</w>##",
]


def random_texts(count: int, special: list[str], seed: int = 7) -> list[str]:
    """Texts of many scripts, with runs of white space, control characters, special tokens."""
    rng = random.Random(seed)
    words = [word for text in TEXTS for word in text.split()]
    texts = ["", " ", "  ", "\n", *special, *(f" {s} " for s in special)]
    while len(texts) < count:
        parts = []
        for _ in range(rng.randint(1, 8)):
            kind = rng.random()
            if kind < 0.4:
                parts.append(rng.choice(["", " ", " ", "  "]) + rng.choice(words))
            elif kind < 0.55 and special:
                parts.append(rng.choice(["", "", " ", "\n"]) + rng.choice(special))
            else:
                alphabet = rng.choice(ALPHABETS)
                parts.append("".join(rng.choice(alphabet) for _ in range(rng.randint(1, 6))))
        texts.append("".join(parts))
    return texts


class Loaded:
    """A folder as transformers and as this package read it."""

    def __init__(self, folder: Path, more: Sequence[str] = ()) -> None:
        import transformers

        self.folder = folder
        self.more = list(more)
        config = json.loads((folder / "config.json").read_text())
        self.model_type = config["model_type"]
        self.theirs = transformers.AutoTokenizer.from_pretrained(folder)
        found = load_pretrained_tokenizers(folder, self.model_type)
        assert found is not None
        self.ours = found

    def texts(self, count: int) -> list[str]:
        every = list(self.theirs.all_special_tokens)
        fixed = ["<s>", "</s>", "<pad>", "<mask>", "<unk>", "<extra_id_3>", "<unk_3>", "<new>"]
        codes = ["__en__", "en_XX", "eng_Latn", ">>fra<<", ">>deu<< ", ">>xx", "__java__", "word"]
        special = dict.fromkeys(
            [*every[:8], *every[-3:], *fixed, *codes, *self.more, "<left>", "<both>"]
        )
        return random_texts(count, list(special))
