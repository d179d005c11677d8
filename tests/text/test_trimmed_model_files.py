"""SentencePiece models with byte pieces: the file has the ids that the trimmed tokenizer has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hugging_face_folders import TEXTS, fairseq_vocabulary, sentencepiece_model, write_folder
from huggingface_tokenizer_cases import T5_ORDER, marian_vocabulary
from small_models import slow_where_compiled
from test_trimming import trimmed, written

from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers
from keras_s2s.text.pretrained.sentencepiece_file import SentencePieceFileTokenizer
from keras_s2s.text.pretrained.tokenizer_files import TokenizerFiles

FEW = TEXTS[:4]
#: With characters that no piece has.
BYTES_TOO = f"{FEW[0]} \U0001f642 Привет"


def t5(folder: Path, kind: str, model_type: str = "t5") -> Path:
    symbols = ("\u2581man", "XX")
    model = sentencepiece_model(
        kind=kind, size=560, special=T5_ORDER, symbols=symbols, byte_pieces=True
    )
    config = {"extra_ids": 0 if model_type == "mt5" else 5}
    return write_folder(
        folder, model_type, {"spiece.model": model, "tokenizer_config.json": config}
    )


def mt5(folder: Path, kind: str) -> Path:
    return t5(folder, kind, "mt5")


def mbart(folder: Path, kind: str) -> Path:
    model = sentencepiece_model(kind=kind, size=560, byte_pieces=True)
    config = {"src_lang": "en_XX", "tgt_lang": "de_DE"}
    files = {"sentencepiece.bpe.model": model, "tokenizer_config.json": config}
    return write_folder(folder, "mbart", files)


def nllb(folder: Path, kind: str) -> Path:
    model = sentencepiece_model(kind=kind, size=560, byte_pieces=True)
    config = {"tokenizer_class": "NllbTokenizer", "src_lang": "eng_Latn", "tgt_lang": "kor_Hang"}
    files = {"sentencepiece.bpe.model": model, "tokenizer_config.json": config}
    return write_folder(folder, "m2m_100", files)


def m2m_100(folder: Path, kind: str) -> Path:
    model = sentencepiece_model(kind=kind, size=560, byte_pieces=True)
    files = {
        "sentencepiece.bpe.model": model,
        "vocab.json": fairseq_vocabulary(model),
        "tokenizer_config.json": {"src_lang": "de", "tgt_lang": "en"},
    }
    return write_folder(folder, "m2m_100", files)


def marian(folder: Path, kind: str) -> Path:
    model = sentencepiece_model(kind=kind, size=560, byte_pieces=True)
    files = {"source.spm": model, "target.spm": model, "vocab.json": marian_vocabulary(model)}
    return write_folder(folder, "marian", files)


def processor(content: bytes) -> Any:
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_proto=content)


@slow_where_compiled
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        *((t5, "unigram"), (mt5, "unigram"), (mbart, "unigram"), (m2m_100, "unigram")),
        *((nllb, "bpe"), (m2m_100, "bpe"), (marian, "bpe"), (marian, "unigram")),
    ],
)
def test_files_agree_on_bytes(make, kind, tmp_path):
    before = make(tmp_path / "made", kind)
    model_type = json.loads((before / "config.json").read_text())["model_type"]
    old = load_pretrained_tokenizers(before, model_type)
    source, _, new_ids = trimmed(old.source, FEW, old.target)
    assert new_ids.sizes["source"] < old.source.vocabulary_size * 0.95
    name = next(n for n in source.files.contents if n.endswith((".model", ".spm")))
    whole = processor((before / name).read_bytes())
    smaller = processor(source.files.contents[name])
    assert smaller.get_piece_size() < whole.get_piece_size()

    # The id of each piece is what the model's rows say.
    ids = []
    for number in range(smaller.get_piece_size()):
        piece = smaller.id_to_piece(number)
        was, now = old.source.token_to_id(piece), source.token_to_id(piece)
        assert (was is None and now is None) or new_ids.source[was] == now
        ids.append((whole.piece_to_id(piece), was, number, now))
    if make in (t5, mt5):
        assert all(number == now < new_ids.sizes["source"] for _, _, number, now in ids)
    tokens = {old.source.id_to_token(i) for i in new_ids.source}
    pieces = {whole.id_to_piece(i) for i in range(whole.get_piece_size())}
    assert tokens & pieces <= {smaller.id_to_piece(i) for i in range(len(ids))}
    # SentencePiece splits by the file as before, also what needs bytes.
    for text in [*FEW, BYTES_TOO]:
        found = smaller.encode(text)
        assert smaller.unk_id() not in found
        assert smaller.encode(text, out_type=str) == whole.encode(text, out_type=str)
        if make in (t5, mt5):
            assert found == [new_ids.source[i] for i in whole.encode(text)]
    if make in (t5, mt5):
        assert any(smaller.is_byte(i) for i in smaller.encode(BYTES_TOO))


@slow_where_compiled
@pytest.mark.parametrize("name", [t5, mbart])
def test_without_tokenizer_json(name, tmp_path):
    """transformers makes the same pipeline of the SentencePiece model alone."""
    transformers = pytest.importorskip("transformers")
    before = name(tmp_path / "made", "unigram")
    model_type = json.loads((before / "config.json").read_text())["model_type"]
    old = load_pretrained_tokenizers(before, model_type)
    source, _, new_ids = trimmed(old.source, FEW, old.target)
    folder = written(source, tmp_path / "trimmed", before)
    (folder / "tokenizer.json").unlink()
    again = load_pretrained_tokenizers(folder, model_type)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert again.source.vocabulary_size == new_ids.sizes["source"]
    for text in [*FEW, "XX man"]:
        expected = source.encode(text)
        assert again.source.encode(text) == expected
        assert theirs(text, add_special_tokens=False).input_ids == expected


@slow_where_compiled
@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_model_file_alone_has_bytes(kind):
    content = sentencepiece_model(kind=kind, size=560, byte_pieces=True)
    old = SentencePieceFileTokenizer(TokenizerFiles({"spiece.model": content}, ""), "T5", None)
    new, _, new_ids = trimmed(old, FEW)
    whole, smaller = processor(content), processor(new.files.contents["spiece.model"])
    for text in [*FEW, BYTES_TOO]:
        expected = [new_ids.source[i] for i in whole.encode(text)]
        assert new.encode(text) == smaller.encode(text) == expected
