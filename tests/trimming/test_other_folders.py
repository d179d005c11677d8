"""Trimming models of other shapes: rounded vocabularies, one for each side, Marian's own files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints.marian_files import random_model, write_npz
from keras import ops
from parity.random_checkpoints import BART_LIKE, randomise
from parity.random_pairs import make_pair, save_pair
from parity.test_huggingface_text import TEXTS, make, theirs
from small_models import slow_where_compiled, transformer, variant
from text.hugging_face_folders import sentencepiece_model
from text.huggingface_tokenizer_cases import CASES
from text.language_model_tokenizer_cases import CASES as HALVES
from trimming.test_trim_vocabulary import compare

from keras_s2s import Seq2SeqLM, trim_vocabulary
from keras_s2s.checkpoints.huggingface.family import family_tables
from keras_s2s.options.generation import OPTIONS
from keras_s2s.options.kinds import (
    Choice,
    Real,
    Seed,
    StartAndFactor,
    Switch,
    Text,
    Texts,
    TokenId,
    TokenIds,
    TokenLists,
    Whole,
)
from keras_s2s.text import Preprocessor

transformers = pytest.importorskip("transformers")


@slow_where_compiled
def test_rows_without_a_token_go(tmp_path):
    """T5's table is rounded up: 32,128 rows for 32,100 tokens."""
    model, tokenizer, folder = make("t5", tmp_path)
    size = len(tokenizer)
    model.resize_token_embeddings(size + 28)
    randomise(model, family_tables("t5"))
    model.save_pretrained(folder)
    whole = Seq2SeqLM.from_preset(folder, verbose=False)
    assert whole.preset.architecture.target_vocab_size == size + 28
    smaller = trim_vocabulary(whole, TEXTS, verbose=False)
    # The sentinels are the last ids, as before.
    assert smaller.trim_report.target_ids[-100:] == tuple(range(size - 100, size))
    text = smaller.preprocessor.source
    assert text.id_to_token(text.vocabulary_size - 1) == "<extra_id_0>"
    compare(whole, smaller, [(text, text[:9]) for text in TEXTS])
    smaller.export(tmp_path / "there", format="huggingface")
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "there").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "there")
    assert len(tokenizer) == model.config.vocab_size == text.vocabulary_size
    assert theirs(model, tokenizer, TEXTS, "t5") == smaller.generate(TEXTS)


@slow_where_compiled
@pytest.mark.parametrize("name", ["mt5_without_sentinels", "plbart_base"])
def test_other_families(tmp_path, name):
    _, _, folder = make(name, tmp_path)
    whole = Seq2SeqLM.from_preset(folder, verbose=False)
    languages = {"src_lang": "java", "tgt_lang": "en_XX"} if name == "plbart_base" else {}
    smaller = trim_vocabulary(whole, TEXTS, verbose=False)
    compare(whole, smaller, [(text, text[:9]) for text in TEXTS], **languages)
    answers = smaller.generate(TEXTS, **languages)
    smaller.export(tmp_path / "there", format="huggingface")
    again = Seq2SeqLM.from_preset(tmp_path / "there", verbose=False)
    assert again.generate(TEXTS, **languages) == answers
    if not languages:
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "there").eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "there")
        assert theirs(model, tokenizer, TEXTS, name) == answers


def separate_marian(folder: Path) -> Path:
    """A model whose sides have vocabularies of the same size, with `</s>`, `<unk>`, `<pad>` of the
    same ids.
    """
    files = CASES["marian_separate"](folder)
    first, second = (
        json.loads((files / name).read_text()) for name in ("vocab.json", "target_vocab.json")
    )
    # As published: the shorter list is filled up.
    size = max(len(first), len(second))
    for name, vocabulary in (("vocab.json", first), ("target_vocab.json", second)):
        del vocabulary["<pad>"]
        for i in range(len(vocabulary), size - 1):
            vocabulary[f"unused{i}"] = i
        vocabulary["<pad>"] = size - 1
        (files / name).write_text(json.dumps(vocabulary))
    config = transformers.MarianConfig(
        **{
            **BART_LIKE["shallow"],
            "vocab_size": size,
            "decoder_vocab_size": size,
            "share_encoder_decoder_embeddings": False,
            "pad_token_id": size - 1,
            "eos_token_id": 0,
            "decoder_start_token_id": size - 1,
            "max_position_embeddings": 99,
        }
    )
    model = transformers.MarianMTModel(config).eval()
    randomise(model, family_tables("marian"))
    model.generation_config.max_length = 12
    model.save_pretrained(folder)
    return folder


@slow_where_compiled
def test_separate_vocabularies(tmp_path):
    whole = Seq2SeqLM.from_preset(separate_marian(tmp_path / "whole"), verbose=False)
    pairs = [(text, text[:7]) for text in TEXTS]
    smaller = trim_vocabulary(whole, pairs, verbose=False)
    report = smaller.trim_report
    assert report.source_ids != report.target_ids
    # One PAD for both sides, as `config.json` says it.
    assert smaller.special_ids.source.pad == smaller.special_ids.target.pad
    compare(whole, smaller, pairs)
    answers = smaller.generate(TEXTS)
    smaller.export(tmp_path / "there", format="huggingface")
    again = Seq2SeqLM.from_preset(tmp_path / "there", verbose=False)
    assert again.generate(TEXTS) == answers
    model = transformers.MarianMTModel.from_pretrained(tmp_path / "there").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "there")
    assert theirs(model, tokenizer, TEXTS, "marian") == answers
    smaller.save_to_preset(tmp_path / "own")
    assert Seq2SeqLM.from_preset(tmp_path / "own").generate(TEXTS) == answers


@slow_where_compiled
def test_two_halves_with_tokenizers_of_their_own(tmp_path):
    """BERT and GPT-2."""
    made = {"encoder": HALVES["bert_cased"], "decoder": HALVES["gpt2"]}
    folders = {side: write(tmp_path / side) for side, write in made.items()}
    sizes = {
        side: len(transformers.AutoTokenizer.from_pretrained(folder))
        for side, folder in folders.items()
    }
    pair = make_pair("bert", "gpt2", vocab_size=max(sizes.values()), pad_token_id=0)
    end = transformers.AutoTokenizer.from_pretrained(folders["decoder"]).eos_token_id
    for key, i in {"pad": end, "decoder_start": end, "bos": end, "eos": end}.items():
        for part in (pair.config, pair.generation_config, pair.config.decoder):
            setattr(part, f"{key}_token_id", i)
    folder = save_pair(pair, tmp_path / "pair")
    for side, files in folders.items():
        (folder / side).mkdir()
        for path in files.iterdir():
            if path.is_file() and path.name != "config.json":
                (folder / side / path.name).write_bytes(path.read_bytes())
    whole = Seq2SeqLM.from_preset(folder, verbose=False)
    assert not whole.preprocessor.joint
    pairs = [("Two young men are outside.", "Zwei junge Männer"), ("Several men", "Ein Mann")]
    smaller = trim_vocabulary(whole, pairs, verbose=False)
    assert len(smaller.trim_report.source_ids) != len(smaller.trim_report.target_ids)
    compare(whole, smaller, pairs)
    sources = [source for source, _ in pairs]
    answers = smaller.generate(sources, max_length=9, num_beams=1)
    smaller.export(tmp_path / "there", format="huggingface")
    again = Seq2SeqLM.from_preset(tmp_path / "there", verbose=False)
    assert again.generate(sources, max_length=9, num_beams=1) == answers
    text = smaller.preprocessor
    for side, tokenizer in (("encoder", text.source), ("decoder", text.target)):
        there = transformers.AutoTokenizer.from_pretrained(tmp_path / "there" / side)
        for source in sources:
            ids = there(source, add_special_tokens=False).input_ids
            assert ids == tokenizer.encode(source)


@slow_where_compiled
def test_marian_files(tmp_path):
    """A SentencePiece vocabulary of Marian's own, read from and written to its files."""
    content = sentencepiece_model(kind="bpe", special=("</s>", "<unk>"), size=400)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "vocab.spm").write_bytes(content)
    import sentencepiece

    size = sentencepiece.SentencePieceProcessor(model_proto=content).get_piece_size()
    tensors, settings = random_model(dim_vocabs=[size, size])
    write_npz(tmp_path / "model" / "model.npz", tensors, settings)
    paths = "models: [model.npz]\nvocabs: [vocab.spm, vocab.spm]\nbeam-size: 2\n"
    (tmp_path / "model" / "model.npz.decoder.yml").write_text(paths)
    whole = Seq2SeqLM.from_preset(tmp_path / "model" / "model.npz.decoder.yml", verbose=False)
    smaller = trim_vocabulary(whole, TEXTS[:3], verbose=False)
    compare(whole, smaller, [(text, text[:9]) for text in TEXTS[:3]])
    answers = smaller.generate(TEXTS[:3], max_length=9)
    smaller.export(tmp_path / "there", format="marian")
    again = Seq2SeqLM.from_preset(tmp_path / "there", verbose=False)
    assert again.generate(TEXTS[:3], max_length=9) == answers
    assert again.generation_config.suppress_tokens == smaller.generation_config.suppress_tokens


@slow_where_compiled
def test_half_precision_stays(tmp_path):
    _, _, folder = make("bart", tmp_path)
    whole = Seq2SeqLM.from_preset(folder, dtype="bfloat16", verbose=False)
    smaller = trim_vocabulary(whole, TEXTS, verbose=False)
    assert [w.dtype for w in smaller.weights] == [w.dtype for w in whole.weights]
    kept = list(smaller.trim_report.target_ids)
    tables = [
        np.asarray(ops.convert_to_numpy(ops.cast(model.network.target_table.embeddings, "float32")))
        for model in (whole, smaller)
    ]
    np.testing.assert_array_equal(tables[1], tables[0][kept])


@slow_where_compiled
@pytest.mark.parametrize("joint", [True, False])
def test_sources_that_are_no_ids(joint):
    pairs = [("ab", "ba dc"), ("cd", "dc ba e")]
    text = Preprocessor.train(pairs, "word", joint=joint)
    sides = {
        "frontend": {"type": "features", "feature_dim": 5},
        "source_vocab_size": None,
        "target_vocab_size": text.target.vocabulary_size,
        "encoder": transformer(num_layers=1),
        "decoder": transformer(num_layers=1),
        "share_embeddings": False,
    }
    config = variant(sides, special_ids=text.special_ids.model_dump())
    whole = Seq2SeqLM(config, text)
    smaller = trim_vocabulary(whole, ["ba dc"], verbose=False)
    assert smaller.trim_report.source_ids == ()
    assert len(smaller.trim_report.target_ids) < text.target.vocabulary_size
    features = [np.random.default_rng(0).normal(size=(4, 5)).astype("float32")]
    _, parts = smaller.score(features, ["ba dc"], return_token_log_probs=True)
    assert len(parts[0]) == 3
    output = smaller.generate(features, max_length=5, return_output=True)
    assert output.token_ids.max() < len(smaller.trim_report.target_ids)


def test_every_option_with_ids_is_known():
    """An option of another kind needs a place in `preset_ids`, if its values are ids."""
    no_ids: tuple[Any, ...] = (Choice, Real, Seed, StartAndFactor, Switch, Text, Texts, Whole)
    ids = (TokenId, TokenIds, TokenLists)
    kinds = {option.name: option.kind for option in OPTIONS.values() if option.configured}
    assert len(kinds) > 20
    assert [name for name, kind in kinds.items() if not isinstance(kind, no_ids + ids)] == []
    assert {name for name, kind in kinds.items() if isinstance(kind, ids)} >= {
        *("bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "eos_token_id"),
    }
