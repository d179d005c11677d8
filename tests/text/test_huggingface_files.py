"""Tokenizers written as Hugging Face files, read back by transformers."""

from __future__ import annotations

import json

import pytest
from hugging_face_folders import (
    byte_level_files,
    random_texts,
    sentencepiece_model,
    write_folder,
)
from small_models import slow_where_compiled
from text_samples import CORPUS

from keras_s2s.config import ConfigError, SpecialIds, TextConfig, TokenizerConfig
from keras_s2s.text import Preprocessor, train_tokenizer
from keras_s2s.text.huggingface_writer import huggingface_files, write_pretrained_tokenizers
from keras_s2s.text.pretrained.auto import load_pretrained_tokenizers

PAIRS = list(zip(CORPUS, reversed(CORPUS), strict=True))
KINDS = [
    "sentencepiece_unigram",
    "sentencepiece_bpe",
    "byte_level_bpe",
    "wordpiece",
    "character",
    "byte",
]
SPECIAL = ["</s>", "<pad>", "<s>", "<unk>", " </s> "]


def read_by_transformers(folder, preprocessor):
    transformers = pytest.importorskip("transformers")
    write_folder(folder, "bart", {})
    write_pretrained_tokenizers(folder, preprocessor)
    return transformers.AutoTokenizer.from_pretrained(folder)


def trained(kind: str, joint: bool = True, **source) -> Preprocessor:
    config = {"source": {"kind": kind, **source}, "joint": joint, "source_eos": True}
    return Preprocessor.train(PAIRS, TextConfig.model_validate(config))


@slow_where_compiled
@pytest.mark.filterwarnings("ignore:.*sacremoses.*:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_trained_kinds_give_transformers_the_same_ids(kind, tmp_path):
    preprocessor = trained(kind)
    theirs = read_by_transformers(tmp_path, preprocessor)
    texts = [text for text in random_texts(3000, SPECIAL) if not text.startswith(">>")]
    assert theirs(texts).input_ids == preprocessor.encode_source(texts)
    assert theirs(texts, add_special_tokens=False).input_ids == [
        row[:-1] for row in preprocessor.encode_source(texts)
    ]
    for key in ("pad", "eos", "unk"):
        assert getattr(theirs, f"{key}_token_id") == getattr(preprocessor.source, f"{key}_id")
    rows = preprocessor.source.encode_batch(CORPUS)
    if kind != "wordpiece":  # whose spaces are restored by rules of this package
        expected = preprocessor.source.decode_batch(rows)
        assert theirs.decode(rows, skip_special_tokens=True) == expected


@slow_where_compiled
@pytest.mark.filterwarnings("ignore:.*sacremoses.*:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_tokens_of_pre_training_go_along(kind, tmp_path):
    preprocessor = trained(kind, sentinels=3, mask=True)
    theirs = read_by_transformers(tmp_path, preprocessor)
    texts = random_texts(300, ["<extra_id_0>", "<mask>", " <extra_id_2>"])
    assert theirs(texts).input_ids == preprocessor.encode_source(texts)
    for token in ("<extra_id_0>", "<extra_id_2>", "<mask>"):
        i = preprocessor.source.token_to_id(token)
        assert theirs.convert_tokens_to_ids(token) == i
        assert theirs.decode([i], skip_special_tokens=True) == ""


@slow_where_compiled
@pytest.mark.filterwarnings("ignore:.*sacremoses.*:UserWarning")
def test_two_sentencepiece_models(tmp_path):
    config = {
        "source": {"kind": "sentencepiece_unigram"},
        "target": {"kind": "sentencepiece_bpe"},
        "source_eos": True,
    }
    preprocessor = Preprocessor.train(PAIRS, TextConfig.model_validate(config))
    theirs = read_by_transformers(tmp_path, preprocessor)
    texts = random_texts(500, SPECIAL)
    assert theirs(texts).input_ids == preprocessor.encode_source(texts)
    assert theirs(text_target=texts).input_ids == preprocessor.encode_target(texts)
    rows = preprocessor.target.encode_batch(CORPUS)
    assert theirs.decode(rows, skip_special_tokens=True) == preprocessor.target.decode_batch(rows)


@slow_where_compiled
def test_normalization_goes_along(tmp_path):
    for kind in ("character", "byte"):
        preprocessor = trained(kind, normalization="nfkc")
        theirs = read_by_transformers(tmp_path / kind, preprocessor)
        texts = ["ＡＢＣ ﬁsh", "e\u0301"]
        assert theirs(texts).input_ids == preprocessor.encode_source(texts)


def test_what_has_no_form_is_refused():
    with pytest.raises(ConfigError, match=r"a word tokenizer has no form.*character, byte"):
        huggingface_files(trained("word"))
    with pytest.raises(ConfigError, match=r"lowercase: true of a character tokenizer"):
        huggingface_files(trained("character", lowercase=True))
    with pytest.raises(ConfigError, match=r"train with joint: true"):
        huggingface_files(trained("byte_level_bpe", joint=False))
    config = {"source": {"kind": "sentencepiece_bpe"}, "joint": True, "source_eos": False}
    without_eos = Preprocessor.train(PAIRS, TextConfig.model_validate(config))
    with pytest.raises(ConfigError, match=r"train with text\.source_eos: true"):
        huggingface_files(without_eos)


def test_pretrained_files_come_back_byte_by_byte(tmp_path):
    vocab, merges = byte_level_files()
    files = {
        "vocab.json": vocab,
        "merges.txt": merges,
        "tokenizer_config.json": b'{"add_prefix_space":   true}',
        "special_tokens_map.json": {"bos_token": "<s>"},
    }
    folder = write_folder(tmp_path / "hf", "bart", files)
    found = load_pretrained_tokenizers(folder, "bart")
    ids = {
        "source": {"pad": 1, "eos": found.eos, "bos": found.bos},
        "target": {"pad": 1, "eos": 2, "decoder_start": 2},
    }
    preprocessor = found.preprocessor(SpecialIds.model_validate(ids))
    preprocessor.save(tmp_path / "preset")
    again = Preprocessor.load(tmp_path / "preset", preprocessor.special_ids)
    out = tmp_path / "out"
    # What lay there before would be read with the new files.
    write_folder(out, "bart", {"spiece.model": sentencepiece_model(), "other.txt": b"kept"})
    written = write_pretrained_tokenizers(out, again)
    assert {path.name for path in written} == set(files)
    assert not (out / "spiece.model").exists()
    assert (out / "other.txt").read_bytes() == b"kept"
    for name in files:
        assert (out / name).read_bytes() == (folder / name).read_bytes()


def test_mixed_sides_are_refused(tmp_path):
    files = {"spiece.model": sentencepiece_model(special=("<pad>", "</s>", "<unk>"))}
    found = load_pretrained_tokenizers(write_folder(tmp_path, "t5", files), "t5")
    other = train_tokenizer(CORPUS, TokenizerConfig(kind="character"))
    ids = {
        "source": {"pad": 0, "eos": 1},
        "target": {"pad": 0, "eos": 3, "decoder_start": 2},
    }
    mixed = Preprocessor(found.source, other, SpecialIds.model_validate(ids))
    with pytest.raises(ConfigError, match=r"huggingface_pipeline tokenizer of the source"):
        huggingface_files(mixed)


def test_special_tokens_in_text_stay_text():
    config = json.loads(huggingface_files(trained("byte_level_bpe"))["tokenizer_config.json"])
    assert config["split_special_tokens"] is True


def test_languages_without_a_class_of_their_own_are_refused():
    text = Preprocessor.train(["a b c d"], "character", joint=True)
    data = text.special_ids.model_dump()
    data["languages"] = {"codes": {"x": 5}, "source": "prefix", "target": "forced_bos"}
    text = Preprocessor(text.source, text.target, SpecialIds.model_validate(data))
    with pytest.raises(ConfigError, match=r"special_ids\.languages of a character tokenizer"):
        huggingface_files(text)
