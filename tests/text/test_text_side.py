"""Tokenizers and special ids of the two sides of a model, each from a folder of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hugging_face_folders import random_texts, sentencepiece_model, write_folder
from language_model_tokenizer_cases import (
    albert,
    bert_bare,
    bert_cased,
    camembert,
    gpt2,
    roberta,
    wordpiece_vocabulary,
)
from small_models import shrink

from keras_s2s.catalog import load_preset
from keras_s2s.config import ConfigError
from keras_s2s.model import Seq2SeqLM
from keras_s2s.text import Preprocessor
from keras_s2s.text.pretrained.text_side import load_text_side, load_text_sides, special_ids_of

transformers = pytest.importorskip("transformers")


def preprocessor_of(source: Any, target: Any) -> Preprocessor:
    return Preprocessor(source.tokenizer, target.tokenizer, special_ids_of(source, target))


def test_bert_starts_with_cls_and_ends_with_sep(tmp_path):
    bert_cased(tmp_path)
    target = load_text_side(tmp_path, "target")
    cls, sep, pad = (target.tokenizer.token_to_id(t) for t in ("[CLS]", "[SEP]", "[PAD]"))
    ids = target.target_ids()
    assert (ids.decoder_start, ids.eos, ids.pad, ids.bos) == (cls, sep, pad, None)
    assert target.target_ids(label_bos=True).bos == cls
    source = load_text_side(tmp_path, "source").source_ids()
    assert (source.bos, source.eos, source.pad) == (cls, sep, pad)


@pytest.mark.parametrize("make", [bert_cased, roberta, camembert, albert])
def test_sources_are_encoded_as_transformers_encodes_them(tmp_path, make):
    make(tmp_path)
    sides = load_text_sides(tmp_path)
    preprocessor = preprocessor_of(*sides)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    texts = random_texts(300, theirs.all_special_tokens)
    assert preprocessor.encode_source(texts) == theirs(texts).input_ids
    assert preprocessor.joint
    # Labels are those of the tokenizer without the id that the decoder starts with.
    assert preprocessor.encode_target(texts) == [row[1:] for row in theirs(texts).input_ids]


def test_gpt2_starts_and_ends_with_its_one_token(tmp_path):
    gpt2(tmp_path)
    target = load_text_side(tmp_path, "target")
    end = target.tokenizer.token_to_id("<|endoftext|>")
    ids = target.target_ids()
    assert (target.bos, target.eos) == (None, None)
    assert (ids.decoder_start, ids.eos, ids.pad, ids.bos) == (end, end, end, None)
    preprocessor = preprocessor_of(load_text_side(bert_bare(tmp_path / "bert"), "source"), target)
    texts = ["Zwei Männer", "A man."]
    plain = transformers.AutoTokenizer.from_pretrained(tmp_path)(texts).input_ids
    assert preprocessor.encode_target(texts) == [[*row, end] for row in plain]
    assert preprocessor.decode_target([[end, *row, end, end] for row in plain]) == texts


def test_an_id_of_config_json_comes_before_a_token(tmp_path):
    gpt2(tmp_path)
    write_folder(tmp_path, "gpt2", {}, decoder_start_token_id=7, pad_token_id=9)
    ids = load_text_side(tmp_path, "target").target_ids()
    assert (ids.decoder_start, ids.pad) == (7, 9)
    assert load_text_side(tmp_path, "target").target_ids(decoder_start=3).decoder_start == 3


def test_a_missing_start_says_what_to_set(tmp_path):
    model = sentencepiece_model(special=("<pad>", "</s>", "<unk>"))
    write_folder(tmp_path, "t5", {"spiece.model": model})
    side = load_text_side(tmp_path, "target")
    with pytest.raises(ConfigError, match=r"special_ids\.target\.decoder_start: the T5Tok.*set"):
        side.target_ids()
    assert side.target_ids(decoder_start=0).eos == 1


# --------------------------------------------------------------------------------------
# Folders with two models
# --------------------------------------------------------------------------------------


def two_models(folder: Path, encoder: str, decoder: str, /, **sizes: int) -> Path:
    """The `config.json` that EncoderDecoderModel writes."""
    folder.mkdir(exist_ok=True)
    halves = {
        side: {"model_type": name, **({"vocab_size": sizes[side]} if side in sizes else {})}
        for side, name in (("encoder", encoder), ("decoder", decoder))
    }
    config = {"model_type": "encoder-decoder", "decoder_start_token_id": 3, **halves}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_folder_of_two_models_with_one_tokenizer(tmp_path):
    bert_cased(tmp_path)
    two_models(tmp_path, "bert", "electra")
    source, target = load_text_sides(tmp_path)
    assert source.tokenizer is target.tokenizer
    assert target.target_ids().decoder_start == 3
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert source.tokenizer.encode("Zwei Männer") == theirs("Zwei Männer").input_ids[1:-1]


def test_halves_have_tokenizers_of_their_own(tmp_path):
    bert_bare(tmp_path / "encoder")
    gpt2(tmp_path / "decoder")
    for written in (False, True):
        if written:
            two_models(tmp_path, "bert", "gpt2")
        source, target = load_text_sides(tmp_path)
        assert source.tokenizer.class_name == "BertTokenizer"
        assert target.tokenizer.class_name == "GPT2Tokenizer"
    assert target.start == 3
    assert load_text_side(tmp_path, "target").tokenizer.class_name == "GPT2Tokenizer"


def test_the_encoders_tokenizer_is_not_taken_for_the_decoders(tmp_path, caplog):
    bert_bare(tmp_path)
    two_models(tmp_path, "bert", "gpt2", encoder=5000, decoder=4999)
    source, target = load_text_sides(tmp_path)
    assert source.tokenizer.class_name == "BertTokenizer" and target is None
    assert "those of the encoder (bert)" in caplog.text
    assert source.tokenizer.vocabulary_size == 5000
    # One tokenizer may serve two tables of one size.
    two_models(tmp_path, "bert", "xlm-roberta", encoder=5000, decoder=5000)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    assert load_text_side(tmp_path, "target").tokenizer.class_name == "BertTokenizer"


def test_a_folder_without_a_tokenizer(tmp_path):
    two_models(tmp_path, "bert", "gpt2")
    assert load_text_sides(tmp_path) == (None, None)
    bert_bare(tmp_path / "encoder")
    source, target = load_text_sides(tmp_path)
    assert source is not None and target is None


# --------------------------------------------------------------------------------------
# Saved with a model
# --------------------------------------------------------------------------------------


def test_a_preset_keeps_two_tokenizers(tmp_path):
    source, target = load_text_sides(bert_cased(tmp_path / "bert"), gpt2(tmp_path / "gpt2"))
    preprocessor = preprocessor_of(source, target)
    data = shrink(load_preset("transformer_base")).model_dump()
    data["architecture"] |= {
        "source_vocab_size": source.tokenizer.vocabulary_size,
        "target_vocab_size": target.tokenizer.vocabulary_size,
        "share_embeddings": False,
    }
    data["special_ids"] = preprocessor.special_ids.model_dump()
    model = Seq2SeqLM.from_architecture(data)
    model.preprocessor = preprocessor
    model.save_to_preset(tmp_path / "saved")
    copy = Seq2SeqLM.from_preset(tmp_path / "saved").preprocessor
    assert not copy.joint and copy.special_ids == preprocessor.special_ids
    texts = random_texts(200, ["[SEP]", "<|endoftext|>"])
    assert copy.encode_source(texts) == preprocessor.encode_source(texts)
    rows = preprocessor.encode_target(texts)
    assert copy.encode_target(texts) == rows
    assert copy.decode_target(rows) == preprocessor.decode_target(rows)
    assert len(wordpiece_vocabulary().splitlines()) == copy.source.vocabulary_size
