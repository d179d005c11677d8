"""Drawn segmentations: the libraries' distributions, seeds, and kinds that have none."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import tokenizers as huggingface
from hugging_face_folders import (
    byte_level_files,
    fairseq_vocabulary,
    pieces,
    sentencepiece_model,
    word_bpe_files,
    write_folder,
)
from text_samples import CORPUS, KINDS, SAMPLES

from keras_s2s.config import ConfigError, SamplingConfig, TokenizerConfig
from keras_s2s.text import load_pretrained_tokenizers, train_tokenizer
from keras_s2s.text.bpe_dropout import BpeDropout

METHODS = {
    "sentencepiece_unigram": SamplingConfig(alpha=0.3),
    "sentencepiece_bpe": SamplingConfig(dropout=0.3),
    "byte_level_bpe": SamplingConfig(dropout=0.3),
}
DRAWS = 3000


def assert_same_distribution(found, expected):
    """Compares how often each segmentation was drawn, by five standard deviations."""
    ours, theirs = Counter(map(tuple, found)), Counter(map(tuple, expected))
    assert len(theirs) > 3, "a text with too few segmentations"
    for row in set(ours) | set(theirs):
        together = (ours[row] + theirs[row]) / 2
        assert abs(ours[row] - theirs[row]) <= 5 * np.sqrt(2 * together) + 3, row


def own_draws(tokenizer, text, config):
    rows = [tokenizer.sample_batch([text] * 100, config, seed) for seed in range(DRAWS // 100)]
    return [ids for batch in rows for ids in batch]


def library_draws(tokenizer, text, config):
    if hasattr(tokenizer, "processor"):
        alpha = config.alpha or config.dropout
        return [
            tokenizer.processor.encode(
                text, out_type=int, enable_sampling=True, alpha=alpha, nbest_size=config.nbest_size
            )
            for _ in range(DRAWS)
        ]
    return pipeline_draws(tokenizer.pipeline, text, config.dropout)


def pipeline_draws(pipeline, text, dropout):
    description = json.loads(pipeline.to_str())
    description["model"]["dropout"] = dropout
    drawing = huggingface.Tokenizer.from_str(json.dumps(description))
    return [drawing.encode(text, add_special_tokens=False).ids for _ in range(DRAWS)]


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("strength", [0.1, 0.6])
def test_segmentations_are_distributed_as_the_library_draws_them(tokenizers, kind, strength):
    tokenizer = tokenizers[kind]
    config = SamplingConfig(**{METHODS[kind].method: strength})
    text = "many men"
    found = [
        row for seed in range(30) for row in tokenizer.sample_batch([text] * 100, config, seed)
    ]
    assert_same_distribution(found, library_draws(tokenizer, text, config))


def test_nbest_size_limits_what_is_drawn(tokenizers):
    tokenizer = tokenizers["sentencepiece_unigram"]
    text = "Several men"
    best = {tuple(ids) for ids in tokenizer.processor.nbest_encode_as_ids(text, 3)}
    config = SamplingConfig(alpha=0.01, nbest_size=3)
    drawn = tokenizer.sample_batch([text] * 300, config, 1)
    assert {tuple(ids) for ids in drawn} == best


@pytest.mark.parametrize("kind", METHODS)
def test_draws_follow_from_the_seed_and_keep_the_text(tokenizers, kind):
    tokenizer, config = tokenizers[kind], METHODS[kind]
    texts = [*CORPUS[:10], *(text for text in SAMPLES if len(text) < 100)]
    first = tokenizer.sample_batch(texts, config, 1)
    assert tokenizer.sample_batch(texts, config, 2) != first
    assert tokenizer.sample_batch(texts, config, 1) == first
    assert first != tokenizer.encode_batch(texts)
    assert [tokenizer.decode(ids) for ids in first] == [
        tokenizer.decode(ids) for ids in tokenizer.encode_batch(texts)
    ]
    assert tokenizer.sample_batch([], config, 1) == []
    # Drawing leaves no trace in what is encoded without it.
    assert tokenizer.encode(CORPUS[0]) == tokenizer.encode_batch([CORPUS[0]])[0]
    # Nor does it hinder copies for worker processes, which draw alike.
    assert pickle.loads(pickle.dumps(tokenizer)).sample_batch(texts, config, 1) == first


def test_dropout_of_one_leaves_characters(tokenizers):
    config = SamplingConfig(dropout=1)
    ids = tokenizers["byte_level_bpe"].sample_batch(["Two men"], config, 0)[0]
    assert len(ids) == len("Two men")


def test_a_long_word(tokenizers):
    text = "x" * 20_000
    ids = tokenizers["byte_level_bpe"].sample_batch([text], SamplingConfig(dropout=0.1), 0)[0]
    assert tokenizers["byte_level_bpe"].decode(ids) == text


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in METHODS])
@pytest.mark.parametrize("method", ["alpha", "dropout"])
def test_kinds_with_one_segmentation_refuse_to_draw(tokenizers, kind, method):
    with pytest.raises(ConfigError, match=f"{method}: the {kind} tokenizer"):
        tokenizers[kind].sample_batch(["a"], SamplingConfig(**{method: 0.1}), 0)


@pytest.mark.parametrize("kind", METHODS)
def test_the_other_method_is_refused(tokenizers, kind):
    method = {"alpha": "dropout", "dropout": "alpha"}[METHODS[kind].method]
    with pytest.raises(ConfigError, match=f"{kind}.* set {METHODS[kind].method}: 0.1"):
        tokenizers[kind].check_sampling(SamplingConfig(**{method: 0.1}))


# Affixes, unknown characters, bytes -----------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"end_of_word_suffix": "</w>"},
        {"continuing_subword_prefix": "##"},
        {},
    ],
    ids=["suffix", "prefix", "unknown"],
)
def test_affixes_and_unknown_characters(options):
    model = huggingface.models.BPE(unk_token="<unk>", **options)
    pipeline = huggingface.Tokenizer(model)
    pipeline.pre_tokenizer = huggingface.pre_tokenizers.Whitespace()
    trainer = huggingface.trainers.BpeTrainer(
        vocab_size=200, special_tokens=["<unk>"], show_progress=False, **options
    )
    pipeline.train_from_iterator(["many men and a mane", "name a man", "manna"] * 5, trainer)
    sampler = BpeDropout(pipeline)
    text = "many Ж <unk> men"
    found = [row for seed in range(30) for row in sampler.encode_batch([text] * 100, 0.3, seed)]
    assert_same_distribution(found, pipeline_draws(pipeline, text, 0.3))


# Tokenizers of Hugging Face folders -------------------------------------------------------


def bart(folder):
    vocab, merges = byte_level_files()
    return write_folder(folder, "bart", {"vocab.json": vocab, "merges.txt": merges})


def marian(folder):
    model = sentencepiece_model(special=("</s>", "<unk>"))
    vocabulary = {token: i for i, token in enumerate([*pieces(model), "<pad>"])}
    files = {"source.spm": model, "target.spm": model, "vocab.json": vocabulary}
    return write_folder(folder, "marian", files, vocab_size=len(vocabulary))


def m2m_100(folder):
    model = sentencepiece_model(kind="bpe")
    vocabulary = fairseq_vocabulary(model)
    files = {"sentencepiece.bpe.model": model, "vocab.json": vocabulary}
    return write_folder(folder, "m2m_100", files)


def plbart(folder):
    return write_folder(
        folder, "plbart", {"sentencepiece.bpe.model": sentencepiece_model(kind="bpe")}
    )


def loaded(make, folder):
    """The source tokenizer of the folder that `make` writes."""
    return load_pretrained_tokenizers(make(folder), make.__name__.replace("_s", "-s")).source


PRETRAINED = {
    bart: "huggingface_pipeline",
    marian: "marian",
    m2m_100: "m2m_100",
    plbart: "plbart",
}


@pytest.mark.parametrize("make", PRETRAINED, ids=lambda make: make.__name__)
def test_pretrained_tokenizers_draw(tmp_path, make):
    tokenizer = loaded(make, tmp_path / "folder")
    assert tokenizer.kind == PRETRAINED[make]
    method = "alpha" if make is marian else "dropout"
    assert tokenizer.sampling_method == method
    config = SamplingConfig(**{method: 0.3})
    texts = ["Two young men are outside.", "many men </s> here"]
    plain = tokenizer.encode_batch(texts)
    drawn = [tokenizer.sample_batch(texts, config, seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert plain not in drawn
    for row in (0, 1):
        assert tokenizer.decode(drawn[0][row]) == tokenizer.decode(plain[row])
    # What a text spells is still the special token.
    eos = tokenizer.token_to_id("</s>")
    assert (eos in plain[1]) and drawn[0][1].count(eos) == plain[1].count(eos)


def test_marian_draws_as_the_library_does(tmp_path):
    tokenizer = loaded(marian, tmp_path / "folder")
    config = SamplingConfig(alpha=0.5)
    found = [
        r for seed in range(30) for r in tokenizer.sample_batch(["many men"] * 100, config, seed)
    ]
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model_bytes)
    expected = [
        [
            tokenizer.token_to_id(piece)
            for piece in processor.encode(
                "many men", out_type=str, enable_sampling=True, alpha=0.5, nbest_size=-1
            )
        ]
        for _ in range(DRAWS)
    ]
    assert_same_distribution(found, expected)


def t5(folder):
    model = sentencepiece_model(special=("<pad>", "</s>", "<unk>"))
    return write_folder(folder, "t5", {"spiece.model": model})


def blenderbot_small(folder):
    vocab, merges = word_bpe_files()
    return write_folder(folder, "blenderbot-small", {"vocab.json": vocab, "merges.txt": merges})


@pytest.mark.parametrize("make", [t5, blenderbot_small], ids=lambda make: make.__name__)
def test_pretrained_tokenizers_that_cannot_draw_say_so(tmp_path: Path, make):
    tokenizer = loaded(make, tmp_path / "folder")
    with pytest.raises(ConfigError, match=f"alpha: the {tokenizer.kind} tokenizer"):
        tokenizer.sample_batch(["a"], SamplingConfig(alpha=0.1), 0)


# Configuration ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "either alpha"),
        ({"alpha": 0.1, "dropout": 0.1}, "either alpha"),
        ({"alpha": 0.1, "nbest_size": 1}, "nothing to draw from"),
        ({"dropout": 0.1, "nbest_size": 5}, "belongs to alpha"),
        ({"dropout": 0}, "greater than 0"),
        ({"dropout": 1.5}, "less than or equal to 1"),
    ],
)
def test_settings_that_contradict_each_other(settings, message):
    with pytest.raises(ValueError, match=message):
        SamplingConfig(**settings)


def test_the_same_training_gives_the_same_draws():
    config = TokenizerConfig(kind="byte_level_bpe", vocab_size=300)
    one, other = (train_tokenizer(CORPUS, config) for _ in range(2))
    dropout = SamplingConfig(dropout=0.2)
    assert one.sample_batch(CORPUS, dropout, 3) == other.sample_batch(CORPUS, dropout, 3)
