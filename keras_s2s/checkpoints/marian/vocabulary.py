"""Reads the vocabularies of Marian: SentencePiece models, and lists of tokens in YAML or text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from keras_s2s.checkpoints.errors import CheckpointError
from keras_s2s.checkpoints.files.tensor_file import refuse_pointer
from keras_s2s.checkpoints.marian.model_files import MarianFiles
from keras_s2s.text.pretrained.marian import MarianTokenizer
from keras_s2s.text.pretrained.sentencepiece_file import SentencePieceFileTokenizer
from keras_s2s.text.pretrained.token_list import TokenListTokenizer
from keras_s2s.text.pretrained.tokenizer_files import (
    MARIAN_SOURCE,
    MARIAN_TARGET,
    T5_MODEL,
    TARGET_VOCAB,
    TOKENIZER_CONFIG,
    VOCAB,
    TokenizerFiles,
)
from keras_s2s.text.tokenizer import Tokenizer

EOS, UNK = "</s>", "<unk>"
#: What these are called in Nematus' dictionaries, and the ids that they have there.
NEMATUS = {EOS: ("eos", 0), UNK: ("UNK", 1)}
#: Pieces for bytes that are control characters, which Marian never writes.
CONTROL = [f"<0x{byte:02X}>" for byte in range(32)]
CLASS = "MarianTokenizer"


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer of one side, and its special ids.

    Attributes:
        tokenizer: text <-> ids.
        eos: ends texts, and fills batches up: Marian has no PAD.
        unk: text outside of the vocabulary.
        never: ids that Marian suppresses in what it writes.
        notes: remarks for the report.
    """

    tokenizer: Tokenizer
    eos: int
    unk: int | None
    never: tuple[int, ...]
    notes: tuple[str, ...] = ()


def read_vocabularies(
    files: MarianFiles, sizes: tuple[int, int]
) -> tuple[Vocabulary, Vocabulary] | None:
    """Reads the vocabularies of both sides; the same one where their files are equal.

    Args:
        files: of the model.
        sizes: ids of the source's and the target's embeddings.

    Raises:
        CheckpointError: a file that is no vocabulary, or one of another model.
        ConfigError: a SentencePiece model that cannot be read.
    """
    if files.vocabularies is None:
        return None
    first, second = files.vocabularies
    for path in (first, second, *(files.pieces or ())):
        refuse_pointer(path)
    if files.pieces is not None:
        return _opus(files, sizes)
    source = _read(first, sizes[0])
    if first == second or (sizes[0] == sizes[1] and first.read_bytes() == second.read_bytes()):
        return source, source
    return source, _read(second, sizes[1])


def _read(path: Path, size: int) -> Vocabulary:
    if path.suffix == ".spm":
        return _sentencepiece(path, size)
    tokens, notes = read_tokens(path, size)
    eos, unk = _required(path, tokens, EOS), _required(path, tokens, UNK)
    words = [token or f"<id {i}>" for i, token in enumerate(tokens)]
    tokenizer = TokenListTokenizer(words, "space", {"eos": eos, "unk": unk})
    return Vocabulary(tokenizer, eos, unk, _never(unk, tokenizer), notes)


def _sentencepiece(path: Path, size: int) -> Vocabulary:
    files = TokenizerFiles({T5_MODEL: path.read_bytes()}, str(path))
    tokenizer = SentencePieceFileTokenizer(files, CLASS, size)
    tokenizer.check_size()
    if tokenizer.eos_id is None:
        raise CheckpointError(f"{path}: the SentencePiece model has no {EOS}, which Marian needs")
    unk = tokenizer.unk_id
    notes = _fewer(path, tokenizer.known, size)
    return Vocabulary(tokenizer, tokenizer.eos_id, unk, _never(unk, tokenizer), notes)


def _fewer(path: Path, count: int, size: int) -> tuple[str, ...]:
    """Returns what the report says of a vocabulary that is smaller than its table."""
    if count >= size:
        return ()
    return (
        f"the vocabulary {path.name} has {count:,} tokens, but the table of embeddings {size:,} "
        "rows: ids without a token have no text; is it the vocabulary of this model?",
    )


def _never(unk: int | None, tokenizer: Tokenizer) -> tuple[int, ...]:
    ids = [unk, *(tokenizer.token_to_id(token) for token in CONTROL)]
    return tuple(sorted({i for i in ids if i is not None}))


def read_tokens(path: Path, size: int) -> tuple[list[str], tuple[str, ...]]:
    """Returns the tokens of a list in id order, "" for ids without one; and remarks for the report.

    Args:
        path: a mapping of tokens to ids in YAML or JSON, or a text file with a token in each line.
        size: ids of the model; tokens beyond them are left out, as Marian does.

    Raises:
        CheckpointError: the file is neither.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: not UTF-8 (byte {error.start})") from None
    ids: dict[str, int] = {}
    twins = list[str]()
    if path.suffix in (".yml", ".yaml", ".json"):
        for token, i in _pairs(path, text):
            if token in ids:
                twins.append(token)
            ids[token] = i
    else:
        lines = text.split("\n")
        lines = lines[:-1] if lines[-1] == "" else lines
        for i, token in enumerate(lines):
            if not token or token in ids:
                what = "empty" if not token else f"the token {token!r} for the second time"
                raise CheckpointError(f"{path}, line {i + 1}: {what}")
            ids[token] = i
    tokens = [""] * size
    for token, i in ids.items():
        if i < size:
            tokens[i] = token
    notes = list(_fewer(path, sum(1 for token in tokens if token), size))
    if twins:
        notes.append(
            f"{path.name} has keys for the second time, whose last id is taken: "
            + ", ".join(repr(token) for token in twins[:5])
            + (f" and {len(twins) - 5} more" if len(twins) > 5 else "")
        )
    return tokens, tuple(notes)


def _pairs(path: Path, text: str) -> Iterator[tuple[str, int]]:
    """Yields the tokens of a YAML mapping with their ids, also those that occur again."""
    # Every scalar stays text: `no` and `1.0` are tokens like others.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        root = yaml.compose(text, Loader=loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise CheckpointError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(root, yaml.MappingNode):
        raise CheckpointError(f"{path}: expected a mapping of tokens to ids")
    for key, value in root.value:
        token, i = key.value, value.value
        if not isinstance(token, str) or not isinstance(i, str) or not i.isdecimal():
            raise CheckpointError(f"{path}: {token!r}: {i!r} is no token with its id")
        yield token, int(i)


def _required(path: Path, tokens: list[str], name: str) -> int:
    """Returns the id of `</s>` or `<unk>`, as Marian finds it."""
    old, usual = NEMATUS[name]
    if path.suffix != ".txt" and usual < len(tokens) and tokens[usual] in ("", old):
        return usual
    if name not in tokens:
        raise CheckpointError(f"{path}: the vocabulary has no {name}, which Marian needs")
    return tokens.index(name)


def _opus(files: MarianFiles, sizes: tuple[int, int]) -> tuple[Vocabulary, Vocabulary]:
    """Reads OPUS-MT's vocabularies: the ids of pieces that `source.spm` and `target.spm` cut."""
    assert files.vocabularies is not None and files.pieces is not None
    read = [read_tokens(path, size) for path, size in zip(files.vocabularies, sizes, strict=True)]
    lists = [tokens for tokens, _ in read]
    separate = lists[0] != lists[1]
    settings: dict[str, Any] = {"tokenizer_class": CLASS, "separate_vocabs": separate}
    contents = {
        MARIAN_SOURCE: files.pieces[0].read_bytes(),
        MARIAN_TARGET: files.pieces[1].read_bytes(),
        TOKENIZER_CONFIG: json.dumps(settings).encode(),
    }
    for name, tokens in zip((VOCAB, TARGET_VOCAB) if separate else (VOCAB,), lists, strict=False):
        ids = {token: i for i, token in enumerate(tokens) if token}
        contents[name] = json.dumps(ids, ensure_ascii=False).encode()
    origin = str(files.model.parent)
    found = []
    sides: tuple[Literal["source", "target"], ...] = ("source", "target")
    for side, path, size, (tokens, notes) in zip(
        sides, files.vocabularies, sizes, read, strict=True
    ):
        tokenizer = MarianTokenizer(TokenizerFiles(contents, origin), CLASS, size, side)
        eos, unk = _required(path, tokens, EOS), _required(path, tokens, UNK)
        found.append(Vocabulary(tokenizer, eos, unk, _never(unk, tokenizer), notes))
    return found[0], found[1]
